#!/bin/sh
# Prints the Python for the venv: the functions' version where the machine has it (PATH, then pyenv), otherwise python3.
version=$1
right="import sys, sysconfig; sys.exit('%d.%d' % sys.version_info[:2] != '$version' or bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
for candidate in "python$version" "$(pyenv root 2>/dev/null || echo "$HOME/.pyenv")"/versions/"$version"*/bin/"python$version"; do
  if "$candidate" -c "$right" >/dev/null 2>&1; then
    echo "$candidate"
    exit
  fi
done
echo python3
