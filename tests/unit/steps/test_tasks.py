"""Each step is one `TASK`, and each function of the template runs the step of its folder's name: logs, pictures and roles are found by it."""

import pkgutil
from importlib import import_module
from types import ModuleType

import pytest
from crossmesh import steps

from tests.sim import application

MODULES = [import_module(f"crossmesh.steps.{found.name}") for found in pkgutil.iter_modules(steps.__path__)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.TASK.name)
def test_a_task_is_its_modules_own_step(module: ModuleType) -> None:
    assert module.__name__ == f"crossmesh.steps.{module.TASK.name}"
    assert (module.TASK.request, module.TASK.run) == (module.Request, module.run)


def test_each_step_is_one_function_and_each_function_one_step() -> None:
    shipped = {name: function.module.TASK.name for name, function in application.load().functions.items() if function.module}
    assert sorted(shipped.values()) == sorted(module.TASK.name for module in MODULES)
    for name, step in shipped.items():
        assert name == f"{step.title().replace('_', '')}Function"
        assert application.source(f"functions/{step}/app.py").endswith(f"entrypoint({step}.TASK)\n")


def test_only_the_report_of_a_look_runs_where_settings_are_refused() -> None:
    """Every other step would act, or tell, by settings that it does not have."""
    assert [module.TASK.name for module in MODULES if module.TASK.unconfigured] == ["report_look"]
