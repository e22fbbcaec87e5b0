"""The fields of crossmesh.yaml: one description for the check, its messages, and the JSON Schema
that is published.
"""

from crossmesh.core.mesh.backends import BACKENDS
from crossmesh.manifests.schema import (
    Flag,
    Listing,
    Number,
    Record,
    Share,
    Span,
    Table,
    Text,
    Whole,
    may,
    need,
    one_of,
    record,
)

OWNER = Text(
    1,
    63,
    pattern="[A-Za-z0-9][A-Za-z0-9_.-]{0,62}",
    says="1 to 63 letters, digits, _ . -, beginning with a letter or digit",
)
_CLUSTER = Text(
    1, 100, pattern="[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", says="a cluster's name: letters, digits, - _ ., at most 100"
)
_CANARY = Text(
    1, 63, pattern="[A-Za-z0-9][A-Za-z0-9_-]{0,62}", says="a canary's name: letters, digits, - and _, at most 63"
)
_REGION = Text(pattern="[a-z]{2,4}(-[a-z]+)+-[0-9]+", says="an AWS region such as us-east-1")
_ROLE = Text(  # IAM allows a comma in a name, too; the template's list of roles does not
    pattern="arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=.@/-]{1,512}",
    says="a role's ARN: arn:aws:iam::ACCOUNT:role/NAME, without a comma",
)
_EXTERNAL_ID = Text(
    2, 1_224, pattern="[A-Za-z0-9_+=,.@:/-]+", says="2 to 1224 letters, digits and _ + = , . @ : / - (what STS takes)"
)
_NODE = Text(
    pattern="([a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9.-]*",
    says="a virtual node as namespace/name, or its bare name where unique",
)
_SERVICE = Text(
    1,
    pattern="([a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9.-]*",
    says="a virtual service as namespace/name, or its bare name where unique",
)
_KUBE = Text(1, 253, pattern="[a-z0-9]([-a-z0-9.]*[a-z0-9])?", says="a Kubernetes name")
_URL = Text(pattern="https?://[^\\s/?#]+(:[0-9]+)?/?", says="http(s)://HOST[:PORT], without a path (that is `path`)")
_PATH = Text(1, 2_048, pattern="/[^\\s]*", says="a path that begins with /")
_GLOB = Text(
    1,
    pattern="(?!/)(?!.*(^|/)\\.\\.(/|$)).+",
    says="a pattern inside the folder of crossmesh.yaml, such as mesh/*.yaml",
)

_SPACE = Text(1, 1_024, pattern="(?!arn:)[!-~]+", says="a namespace's name: visible ASCII characters, at most 1024")
_REFERENCE = Text(
    pattern="ns-[a-z0-9]{1,61}|arn:aws[a-z-]*:servicediscovery:[a-z0-9-]+:[0-9]{12}:namespace/ns-[a-z0-9]{1,61}",
    says="a namespace's id (ns-…) or ARN",
)
_NAMESPACE = Text(1, 63, pattern="[a-z0-9]([-a-z0-9]*[a-z0-9])?", says="a Kubernetes namespace")
_OWNED = Table(
    Listing(Text(1, 1_151, says="a name in Cloud Map or App Mesh"), 1, 500, unique=True), _NAMESPACE, most=500
)

_CIDR = Text(pattern="[0-9A-Fa-f:.]{2,45}/[0-9]{1,3}", says="a network as address/bits, such as 10.1.0.0/16")

_MANIFESTS = Record(
    record(
        files=may(Listing(_GLOB, unique=True), "Patterns of manifest files, relative to crossmesh.yaml."),
        clusters=may(Listing(_CLUSTER, unique=True), "Clusters whose custom resources are read live."),
        services=may(
            _OWNED,
            "By Kubernetes namespace, the Cloud Map services (service.namespace) that only its virtual nodes may use.",
        ),
        names=may(_OWNED, "By Kubernetes namespace, the App Mesh names (awsName) that only its documents may take."),
    ).fields,
    one_of=(("files", "clusters"),),
)
_TRACING = record(
    provider=need(one_of("otlp", "xray"), "otlp: an OpenTelemetry collector, by gRPC; xray: the X-Ray daemon, by UDP."),
    endpoint=need(
        Text(pattern="[A-Za-z0-9._-]{1,253}:[0-9]{1,5}", says="HOST:PORT"), "Where it listens, as HOST:PORT."
    ),
    sampling=may(Number(0, 100), "The share of requests that are traced, in percent; 5 by default."),
)
_ENVOY = record(
    plaintext=may(
        Listing(
            Text(pattern="[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*", says="namespace/name of a virtual node or gateway"),
            unique=True,
        ),
        "Virtual nodes and gateways that may go without declared encryption that own Envoys cannot have (ACM).",
    ),
    tracing=may(_TRACING, "Where own Envoys send their spans."),
)
_MESH = record(
    manifests=need(_MANIFESTS, "Where the App Mesh manifests come from: files, or clusters to read them from live."),
    backend=may(
        one_of(*BACKENDS),
        "What keeps the mesh: App Mesh's API, Envoys of your own (a preview), or none: registry, drift, canary.",
    ),
    envoy=may(
        _ENVOY,
        "What the manifests do not say of Envoys of your own.",
    ),
    adopt=may(Flag(), "Take over instances and mesh resources that AWS's controller left."),
    namespaces=may(
        Table(_REFERENCE, _SPACE),
        "Id or ARN of a Cloud Map namespace, by name: where several have the name, or another account shares it.",
    ),
)
_CLUSTER_RECORD = Record(
    record(
        eks=may(_CLUSTER, "Its name in EKS, if that differs."),
        region=may(_REGION, "Its region, if that differs."),
        roleArn=may(_ROLE, "The role to assume for it, in another account."),
        externalId=may(_EXTERNAL_ID, "The external id that the role asks for."),
        controller=may(
            one_of("injector-only", "none"),
            "AWS's App Mesh controller stays for its webhook, its write rights taken away; none: it is not there,"
            " whatever looks like it.",
        ),
        controller_namespaces=may(
            Listing(_KUBE, 1, unique=True),
            "The namespaces in which a Deployment is believed to be that controller; appmesh-system by default.",
        ),
        zonal_shift=may(
            one_of("follow"), "Pods of a zone that ARC shifted traffic away from leave Cloud Map until the shift ends."
        ),
        pod_cidrs=may(
            Listing(_CIDR, 1, unique=True),
            "The networks of its pods. A pod with another address is withheld, as is one of another cluster with such"
            " an address.",
        ),
        nodes=may(Listing(_NODE, unique=True), "The virtual nodes whose pods count here; without it, all."),
    ).fields,
    empty=True,
)
_MIX = record(
    of=need(_SERVICE, "The virtual service whose routes promise the shares."),
    bodies=need(Table(_NODE, Text(1), 1), "Which virtual node an answer's body comes from."),
    path=may(_PATH, "The path that the front asks of that virtual service; / by default."),
)
_EXPECT = record(
    status=may(Whole(100, 599), "The HTTP status of every answer."),
    latency_p95_ms=may(Number(0, 600_000), "95 of 100 answers come within so many milliseconds; 0: not judged."),
    body=may(Text(), "Text that every body contains."),
    headers=may(Table(Text(), Text(1)), "Headers and their exact values."),
    mix=may(_MIX, "The proportion in which the virtual nodes answer."),
    certificate_days=may(Number(0, 3_650), "Warn when the certificate ends within so many days; 14 by default."),
)
_TARGET = record(
    cluster=need(_CLUSTER, "The cluster the Service is in."),
    namespace=need(_KUBE, "Its Kubernetes namespace."),
    name=need(_KUBE, "Its name."),
    port=need(Whole(1, 65_535), "The port of the load balancer."),
)
_CANARY_RECORD = Record(
    record(
        service=may(_TARGET, "A Kubernetes Service of type LoadBalancer; its status tells the host name."),
        url=may(_URL, "Or the address itself."),
        path=may(_PATH, "The path of each request."),
        requests=may(Whole(1, 1_000), "Requests a run."),
        timeout_ms=may(Whole(100, 60_000), "How long an answer may take before it counts as none."),
        expect=may(_EXPECT, "What the answers must be."),
    ).fields,
    one_of=(("service", "url"),),
)
_POLICY = record(
    removals=may(one_of("sync", "upsert-only"), "upsert-only removes nothing."),
    confirm_above=may(Share(), "Net removals beyond this share of a service wait for a second listing."),
    confirm_after=may(Span(), "How much later that listing begins."),
)

SETTINGS = record(
    owner=need(OWNER, "Who we are in shared registries; unique per deployment."),
    region=need(_REGION, "The AWS region of the deployment."),
    mesh=need(_MESH, "The mesh and how it is kept."),
    clusters=need(
        Table(_CLUSTER_RECORD, _CLUSTER, 1, 300), "The EKS clusters by name, at least one, such as `eksc1: {}`."
    ),
    canaries=may(Table(_CANARY_RECORD, _CANARY, most=100), "Probes from outside, by name."),
    policy=may(_POLICY, "How carefully instances are removed."),
    security_groups=may(one_of("none", "check", "open"), "What is done about the listener ports between clusters."),
    open_ports=may(
        Listing(Whole(1, 65_535), most=100, unique=True),
        "The listener ports that may be opened; by default all from 1024 on but those on which nodes themselves"
        " listen.",
    ),
    readiness_gate=may(
        Flag(),
        "Open the readiness gate aws-cloudmap-healthy of pods that declare it, once they are registered and found.",
    ),
)
