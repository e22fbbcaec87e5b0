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


def _requests(text: str) -> int:
    """How many requests a person may ask of the front at once."""
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    from crossmesh.cli import apply, canaries, doctor, init, operate, plan, redrive, render, runs, shift, status, trace, validate

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
    verb.add_argument("--strict", action="store_true", help="unknown fields are errors, not warnings")
    verb.set_defaults(run=validate.run)
    verb = verbs.add_parser("schema", parents=[common], help="print the JSON Schema of crossmesh.yaml")
    verb.set_defaults(run=validate.schema)
    verb = verbs.add_parser("render", parents=[common], help="print the API requests that the manifests mean, in apply order")
    verb.add_argument("--target", choices=["appmesh"], default="appmesh")
    verb.add_argument("--ip-family", choices=["ipv4", "ipv6"], default="ipv4", help="of the clusters (default: %(default)s)")
    verb.add_argument("files", nargs="*", metavar="FILE", help="manifests (default: the configuration folder's)")
    verb.set_defaults(run=render.run)
    verb = verbs.add_parser("status", parents=[common, deployed], help="is everything registered, since when, and if not why")
    verb.set_defaults(run=status.run)
    verb = verbs.add_parser("plan", parents=[common, deployed], help="what the next run would do and why; writes nothing to registry or mesh")
    verb.add_argument("--out", default="", metavar="FILE", help="keep the plan for `apply FILE`")
    verb.set_defaults(run=plan.run)
    verb = verbs.add_parser(
        "doctor", parents=[common, deployed], help="what is broken on the way of requests, and what will be at the next rollout"
    )
    verb.add_argument("--skip", action="append", default=[], choices=doctor.PARTS, help="leave a part out; may be given more than once")
    verb.set_defaults(run=doctor.run)
    asked = argparse.ArgumentParser(add_help=False)
    asked.add_argument("--yes", action="store_true", help="do not ask")
    verb = verbs.add_parser(
        "apply", parents=[common, deployed, asked], help="show the plan, ask, start the deployed run and follow it to its end"
    )
    verb.add_argument("planfile", nargs="?", default="", metavar="PLANFILE", help="what `plan --out` kept; refused if the world asks for more")
    verb.set_defaults(run=apply.run, verb="apply")
    verb = verbs.add_parser("init", parents=[common, deployed], help="write settings and the template's parameters; print what clusters need")
    verb.add_argument("--offline", action="store_true", help="ask AWS nothing; account and namespaces stay as samconfig.toml has them")
    verb.add_argument("--account", default="", metavar="ID", help="the account to deploy into (default: that of your credentials)")
    verb.add_argument("--environment", default="default", metavar="NAME", help="section of samconfig.toml (default: %(default)s)")
    verb.set_defaults(run=init.run)
    for name, text in (
        ("pause", "look on, but apply nothing"),
        ("drain", "take every instance of this deployment out of Cloud Map"),
        ("adopt", "take over what AWS's App Mesh controller left: once, as `mesh.adopt: true` does always"),
    ):
        verb = verbs.add_parser(name, parents=[common, deployed, asked], help=text)
        verb.set_defaults(run=operate.run, verb=name)
    verb = verbs.add_parser("resume", parents=[common, deployed, asked], help="end a pause or drain, or let a stopped SERVICE go on")
    verb.add_argument("service", nargs="?", default="", metavar="SERVICE", help="service.namespace, as `status` names it")
    verb.set_defaults(run=operate.run, verb="resume")
    verb = verbs.add_parser(
        "forget", parents=[common, deployed, asked], help="remove the instances of a cluster that is gone; --identity accepts a rebuilt one"
    )
    verb.add_argument("cluster", metavar="CLUSTER")
    verb.add_argument("--identity", action="store_true", help="do not remove: record the identity that the cluster shows now")
    verb.set_defaults(run=operate.run, verb="forget")
    verb = verbs.add_parser("unlock", parents=[common, deployed, asked], help="end the lease by hand")
    verb.set_defaults(run=operate.unlock, verb="unlock")
    verb = verbs.add_parser("redrive", parents=[common, deployed, asked], help="send once more what the dead-letter queues hold")
    verb.add_argument("--list", action="store_true", help="only show it")
    verb.set_defaults(run=redrive.run, verb="redrive")
    for name, text, what in (
        ("explain", "what a run saw, planned, withheld and did", runs.explain),
        ("replay", "plan again from a run's inputs", runs.replay),
    ):
        verb = verbs.add_parser(name, parents=[common, deployed], help=text)
        verb.add_argument("run_id", nargs="?", default="", metavar="RUN", help="default: the last one")
        verb.set_defaults(run=what)
    verb = verbs.add_parser(
        "shift", parents=[common, deployed, asked], help="change a route's weights for a while, step by step; a red canary reverts it"
    )
    verb.add_argument("service", metavar="SERVICE", help="the virtual service, as namespace/name or its bare name")
    verb.add_argument("--route", default="", metavar="R", help="its router's route (default: the only one)")
    wanted = verb.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--to", default="", metavar="NODE=W,…", help="weights to go to, together at most 100; targets not named get 0")
    wanted.add_argument("--end", action="store_true", help="back to the declared weights")
    verb.add_argument(
        "--step", type=int, default=0, choices=range(101), metavar="POINTS", help="percentage points at a time (default: all at once)"
    )
    verb.add_argument("--every", type=shift.duration, default=60.0, metavar="60s", help="how long each step is held at least (default: 60s)")
    verb.set_defaults(run=shift.run, verb="shift")
    verb = verbs.add_parser("canary", help="run a canary now, or show its last runs")
    kinds = verb.add_subparsers(metavar="run|history", required=True)
    kind = kinds.add_parser("run", parents=[common, deployed], help="start the deployed canary and tell its verdict")
    kind.add_argument("name", metavar="NAME")
    kind.add_argument("--requests", type=_requests, default=0, metavar="N", help="1 to 1000; default: as crossmesh.yaml says")
    kind.set_defaults(run=canaries.run)
    kind = kinds.add_parser("history", parents=[common, deployed], help="success, latency and mix of the last runs, and the last verdict")
    kind.add_argument("name", nargs="?", default="", metavar="NAME", help="default: every canary of crossmesh.yaml")
    kind.set_defaults(run=canaries.history)
    verb = verbs.add_parser("trace", parents=[common], help="who called whom, by X-Ray; with an id the way of one request")
    verb.add_argument("trace_id", nargs="?", default="", metavar="ID", help="as canaries and the front's logs name it")
    verb.add_argument("--minutes", type=float, default=10.0, help="how far back the map goes (default: %(default)s)")
    verb.set_defaults(run=trace.run)
    return parser
