"""Arguments in, a verb called, an exit code out."""

from collections.abc import Sequence

from crossmesh.cli import exits, failures, printing
from crossmesh.cli.verbs import parser
from crossmesh.errors import ConfigError, CrossmeshError, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code."""
    going_on = "nothing was changed"
    try:
        arguments = parser().parse_args(argv)
    except KeyboardInterrupt:  # while modules are imported
        printing.error(f"interrupted; {going_on}")
        return exits.INTERRUPTED
    try:
        code: int = arguments.run(arguments)
    except ConfigError as error:
        from crossmesh.cli.validate import show

        show(error.findings, as_json=arguments.json)
        return exits.FAILED
    except BrokenPipeError:
        return exits.DONE
    except (CrossmeshError, OSError) as error:
        printing.error(failures.explain(error))
        return exits.USAGE if isinstance(error, UsageError | FileNotFoundError | IsADirectoryError) else exits.FAILED
    except KeyboardInterrupt:
        printing.error(f"interrupted; {arguments.going_on}")
        return exits.INTERRUPTED
    except Exception as problem:  # noqa: BLE001 - the interpreter would print its message as it is
        printing.crash(problem)
        return exits.FAILED
    return code
