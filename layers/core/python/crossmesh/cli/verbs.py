"""Every verb of the command line with its flags."""

import argparse
from typing import Any, NamedTuple

from crossmesh import __version__
from crossmesh.cli import exits
from crossmesh.cli.arguments import Parser, above_zero, whole_number


def parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="crossmesh",
        description="Keeps AWS Cloud Map and App Mesh equal to what several EKS clusters really run.",
        epilog=exits.epilog(),
    )
    parser.add_argument("--version", action="version", version=f"crossmesh {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    common, deployed = _common(), _deployed()
    asked = Parser(add_help=False)
    asked.add_argument("--yes", action="store_true", help="do not ask")
    options = _Options([common], [common, deployed], [common, deployed, asked])
    for family in (_files, _reading, _changing, _journal, _traffic):
        family(verbs, options)
    return parser


class _Options(NamedTuple):
    """Flags that a verb shares with others: of files alone, of the deployed application, and of
    what asks before it acts.
    """

    files: list[Parser]
    deployed: list[Parser]
    asking: list[Parser]


_Verbs = Any  # argparse names no public type for what add_subparsers returns
_REMOVING = "exit 1 if live instances, all of a virtual node or service, or mesh resources would be removed"


def _common() -> Parser:
    common = Parser(add_help=False)
    # What goes on where Ctrl-C ends a verb: each verb says it anew when it starts something.
    common.set_defaults(going_on="nothing was changed")
    common.add_argument("--json", action="store_true", help="print JSON")
    common.add_argument(
        "--config", default="config", metavar="DIR", help="folder with crossmesh.yaml (default: %(default)s)"
    )
    return common


def _deployed() -> Parser:
    deployed = Parser(add_help=False)
    deployed.add_argument(
        "--stack", default="", help="the deployed application (default: CROSSMESH_STACK, samconfig.toml, crossmesh)"
    )
    deployed.add_argument(
        "--region", default="", help="its region (default: AWS_REGION, crossmesh.yaml, samconfig.toml, the profile)"
    )
    deployed.add_argument("--profile", default="", help="AWS profile whose credentials to use (default: AWS_PROFILE)")
    deployed.add_argument(
        "--env",
        "--environment",
        dest="environment",
        default="",
        metavar="NAME",
        help="environment in samconfig.toml that names stack, region and profile (default: CROSSMESH_ENV)",
    )

    return deployed


def _files(verbs: _Verbs, options: _Options) -> None:
    """Verbs that need no application."""
    from crossmesh.cli import access, render, validate

    verb = verbs.add_parser("validate", parents=options.files, help="tell every mistake in settings and manifests")
    verb.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="manifests to check instead of the configuration folder: files, folders, or - for what comes in",
    )
    verb.add_argument("--strict", action="store_true", help="unknown fields are errors, not warnings")
    verb.set_defaults(run=validate.run)
    verb = verbs.add_parser("schema", parents=options.files, help="print the JSON Schema of crossmesh.yaml")
    verb.set_defaults(run=validate.schema)
    verb = verbs.add_parser(
        "render", parents=options.files, help="print what the manifests mean to App Mesh, or to Envoys of your own"
    )
    verb.add_argument(
        "--target",
        choices=render.TARGETS,
        default="appmesh",
        help="API requests in apply order, or (a preview) what own Envoys will be given (default: %(default)s)",
    )
    verb.add_argument(
        "--plaintext",
        action="append",
        default=[],
        metavar="NAMESPACE/NAME",
        help=(
            "with --target envoy: a node or gateway that may go without encryption that cannot be had; may be given"
            " more than once"
        ),
    )
    verb.add_argument(
        "--ip-family", choices=["ipv4", "ipv6"], default="ipv4", help="of the clusters (default: %(default)s)"
    )
    verb.add_argument("files", nargs="*", metavar="FILE", help="manifests (default: the configuration folder's)")
    verb.set_defaults(run=render.run)
    verb = verbs.add_parser(
        "access", parents=options.files, help="print the Kubernetes rights for one cluster, for `kubectl apply -f -`"
    )
    verb.add_argument("cluster", metavar="CLUSTER", help="its name in crossmesh.yaml")
    verb.set_defaults(run=access.run)


def _reading(verbs: _Verbs, options: _Options) -> None:
    """Verbs that look."""
    from crossmesh.cli import doctor, plan, status

    verb = verbs.add_parser(
        "status", parents=options.deployed, help="is everything registered, since when, and if not why"
    )
    verb.add_argument(
        "--wait",
        type=above_zero,
        nargs="?",
        const=120.0,
        default=0.0,
        metavar="SECONDS",
        help="wait until it is green, at most so long (120)",
    )
    verb.add_argument("--watch", action="store_true", help="show it again and again until Ctrl-C")
    verb.set_defaults(run=status.run)
    verb = verbs.add_parser(
        "plan", parents=options.deployed, help="what the next run would do and why; writes nothing to registry or mesh"
    )
    verb.add_argument("--out", default="", metavar="FILE", help="keep the plan for `apply FILE`")
    verb.add_argument("--fail-on-removal", action="store_true", help=_REMOVING)
    verb.set_defaults(run=plan.run)
    verb = verbs.add_parser(
        "doctor",
        parents=options.deployed,
        help="what is broken on the way of requests, and what will be at the next rollout",
    )
    verb.add_argument(
        "--skip",
        action="append",
        default=[],
        choices=doctor.PARTS,
        help="leave a part out; may be given more than once",
    )
    verb.set_defaults(run=doctor.run)
    asked = Parser(add_help=False)
    asked.add_argument("--yes", action="store_true", help="do not ask")


def _changing(verbs: _Verbs, options: _Options) -> None:
    """Verbs that change something, or order it."""
    from crossmesh.cli import apply, init, operate, redrive

    verb = verbs.add_parser(
        "apply", parents=options.asking, help="show the plan, ask, start the deployed run and follow it to its end"
    )
    verb.add_argument(
        "planfile",
        nargs="?",
        default="",
        metavar="PLANFILE",
        help="what `plan --out` kept; refused if the world asks for more",
    )
    verb.add_argument("--fail-on-removal", action="store_true", help=_REMOVING)
    verb.set_defaults(run=apply.run, verb="apply")
    verb = verbs.add_parser(
        "init", parents=options.deployed, help="write settings and the template's parameters; print what clusters need"
    )
    verb.add_argument(
        "--offline", action="store_true", help="ask AWS nothing; account and namespaces stay as samconfig.toml has them"
    )
    verb.add_argument(
        "--account", default="", metavar="ID", help="the account to deploy into (default: that of your credentials)"
    )
    verb.set_defaults(run=init.run)
    for name, text in (
        ("pause", "look on, but apply nothing"),
        ("drain", "take every instance of this deployment out of Cloud Map"),
        ("adopt", "take over what AWS's App Mesh controller left: once, as `mesh.adopt: true` does always"),
    ):
        verb = verbs.add_parser(name, parents=options.asking, help=text)
        verb.set_defaults(run=operate.run, verb=name)
    verb = verbs.add_parser(
        "resume", parents=options.asking, help="end a pause or drain, or let a stopped SERVICE go on"
    )
    verb.add_argument(
        "service", nargs="?", default="", metavar="SERVICE", help="service.namespace, as `status` names it"
    )
    verb.set_defaults(run=operate.run, verb="resume")
    verb = verbs.add_parser(
        "forget",
        parents=options.asking,
        help="remove the instances of a cluster that is gone; --identity accepts a rebuilt one",
    )
    verb.add_argument("cluster", metavar="CLUSTER")
    verb.add_argument(
        "--identity", action="store_true", help="do not remove: record the identity that the cluster shows now"
    )
    verb.set_defaults(run=operate.run, verb="forget")
    verb = verbs.add_parser("unlock", parents=options.asking, help="end the lease by hand")
    verb.set_defaults(run=operate.unlock, verb="unlock")
    verb = verbs.add_parser("redrive", parents=options.asking, help="send once more what the dead-letter queues hold")
    verb.add_argument("--list", action="store_true", help="only show it")
    verb.set_defaults(run=redrive.run, verb="redrive")


def _journal(verbs: _Verbs, options: _Options) -> None:
    """Verbs about past runs."""
    from crossmesh.cli import runs

    verb = verbs.add_parser("runs", parents=options.deployed, help="list the last runs: when, why, what came of them")
    verb.add_argument(
        "--most",
        type=whole_number(1, 100),
        default=20,
        metavar="N",
        help="how many (default: %(default)s, at most 100)",
    )
    verb.set_defaults(run=runs.listing)
    for name, text, what in (
        ("explain", "what a run saw, planned, withheld and did", runs.explain),
        ("replay", "plan again from a run's inputs", runs.replay),
    ):
        verb = verbs.add_parser(name, parents=options.deployed, help=text)
        verb.add_argument("run_id", nargs="?", default="", metavar="RUN", help="default: the last one")
        verb.set_defaults(run=what)


def _traffic(verbs: _Verbs, options: _Options) -> None:
    """Verbs about requests: weights, canaries, traces."""
    from crossmesh.cli import canaries, shift, trace

    verb = verbs.add_parser(
        "shift",
        parents=options.asking,
        help="change a route's weights for a while, step by step; a red canary reverts it",
    )
    verb.add_argument("service", metavar="SERVICE", help="the virtual service, as namespace/name or its bare name")
    verb.add_argument("--route", default="", metavar="R", help="its router's route (default: the only one)")
    wanted = verb.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "--to", default="", metavar="NODE=W,…", help="weights to go to, together at most 100; targets not named get 0"
    )
    wanted.add_argument("--end", action="store_true", help="back to the declared weights")
    verb.add_argument(
        "--step",
        type=whole_number(1, 100),
        default=0,
        metavar="POINTS",
        help="percentage points at a time (default: all at once)",
    )
    verb.add_argument(
        "--every",
        type=shift.duration,
        default=60.0,
        metavar="60s",
        help="how long each step is held at least (default: 60s)",
    )
    verb.add_argument(
        "--force", action="store_true", help="shift although a target has no ready instance, or no canary can halt it"
    )
    verb.set_defaults(run=shift.run, verb="shift")
    verb = verbs.add_parser("canary", help="run a canary now, or show its last runs")
    kinds = verb.add_subparsers(metavar="run|history", required=True)
    kind = kinds.add_parser("run", parents=options.deployed, help="start the deployed canary and tell its verdict")
    kind.add_argument("name", metavar="NAME")
    kind.add_argument(
        "--requests",
        type=whole_number(1, 1000),
        default=0,
        metavar="N",
        help="1 to 1000; default: as crossmesh.yaml says",
    )
    kind.set_defaults(run=canaries.run)
    kind = kinds.add_parser(
        "history", parents=options.deployed, help="success, latency and mix of the last runs, and the last verdict"
    )
    kind.add_argument("name", nargs="?", default="", metavar="NAME", help="default: every canary of crossmesh.yaml")
    kind.set_defaults(run=canaries.history)
    verb = verbs.add_parser(
        "trace", parents=options.deployed, help="who called whom, by X-Ray; with an id the way of one request"
    )
    verb.add_argument("trace_id", nargs="?", default="", metavar="ID", help="as canaries and the front's logs name it")
    verb.add_argument(
        "--minutes", type=above_zero, default=10.0, help="how far back the map goes (default: %(default)s)"
    )
    verb.set_defaults(run=trace.run)
