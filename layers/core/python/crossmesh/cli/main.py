"""Arguments in, a verb called, an exit code out."""

import argparse
import sys
from collections.abc import Sequence

from crossmesh import __version__
from crossmesh.errors import ConfigError, CrossmeshError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except ConfigError as error:
        from crossmesh.cli.validate import show

        show(error.findings, as_json=arguments.json)
        return 1
    except (CrossmeshError, FileNotFoundError) as error:
        sys.stderr.write(f"crossmesh: {error}\n")
        return 1
    except BrokenPipeError:
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    from crossmesh.cli import plan, render, status, validate

    parser = argparse.ArgumentParser(
        prog="crossmesh", description="Keeps AWS Cloud Map and App Mesh equal to what several EKS clusters really run."
    )
    parser.add_argument("--version", action="version", version=f"crossmesh {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    common.add_argument("--config", default="config", metavar="DIR", help="folder with crossmesh.yaml (default: %(default)s)")
    deployed = argparse.ArgumentParser(add_help=False)
    deployed.add_argument("--stack", default="", help="the deployed application (default: stack_name in samconfig.toml)")

    verb = verbs.add_parser("validate", parents=[common], help="tell every mistake in settings and manifests")
    verb.add_argument("files", nargs="*", metavar="FILE", help="manifests to check instead of the configuration folder")
    verb.set_defaults(run=validate.run)
    verb = verbs.add_parser("render", parents=[common], help="print the API requests that the manifests mean, in apply order")
    verb.add_argument("--target", choices=["appmesh"], default="appmesh")
    verb.add_argument("files", nargs="*", metavar="FILE", help="manifests (default: the configuration folder's)")
    verb.set_defaults(run=render.run)
    verb = verbs.add_parser("status", parents=[common, deployed], help="is everything registered, since when, and if not why")
    verb.set_defaults(run=status.run)
    verb = verbs.add_parser("plan", parents=[common, deployed], help="what the next run would do and why; writes nothing to registry or mesh")
    verb.set_defaults(run=plan.run)
    return parser
