"""The fields of crossmesh.yaml: one description for the check, its messages, and the JSON Schema that is published."""

from crossmesh.manifests.schema import Flag, Listing, Number, Record, Share, Span, Table, Text, Whole, may, need, one_of, record

OWNER = Text(1, 63, pattern="[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", says="1 to 63 letters, digits, _ . -, beginning with a letter or digit")
_CLUSTER = Text(1, 100, pattern="[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", says="a cluster's name: letters, digits, - _ ., at most 100")
_CANARY = Text(1, 63, pattern="[A-Za-z0-9][A-Za-z0-9_-]{0,62}", says="a canary's name: letters, digits, - and _, at most 63")
_REGION = Text(pattern="[a-z]{2}(-[a-z]+)+-[0-9]+", says="an AWS region such as us-east-1")
_ROLE = Text(pattern="arn:aws[a-z-]*:iam::[0-9]{12}:role/.+", says="a role's ARN: arn:aws:iam::ACCOUNT:role/NAME")
_NODE = Text(pattern="([a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9.-]*", says="a virtual node as namespace/name, or its bare name where unique")
_SERVICE = Text(
    1, pattern="([a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9.-]*", says="a virtual service as namespace/name, or its bare name where unique"
)
_KUBE = Text(1, 253, pattern="[a-z0-9]([-a-z0-9.]*[a-z0-9])?", says="a Kubernetes name")
_URL = Text(pattern="https?://[^\\s/?#]+(:[0-9]+)?/?", says="http(s)://HOST[:PORT], without a path (that is `path`)")
_PATH = Text(1, 2_048, pattern="/[^\\s]*", says="a path that begins with /")
_GLOB = Text(1, pattern="(?!/)(?!.*(^|/)\\.\\.(/|$)).+", says="a pattern inside the folder of crossmesh.yaml, such as mesh/*.yaml")

_MANIFESTS = Record(
    record(
        files=may(Listing(_GLOB, unique=True), "Patterns of manifest files, relative to crossmesh.yaml."),
        clusters=may(Listing(_CLUSTER, unique=True), "Clusters whose custom resources are read live."),
    ).fields,
    one_of=(("files", "clusters"),),
)
_MESH = record(
    manifests=need(_MANIFESTS, "Where the App Mesh manifests come from: files, or clusters to read them from live."),
    backend=may(one_of("appmesh", "none"), "What keeps the mesh's resources; none: registry, drift and canary only."),
    adopt=may(Flag(), "Take over instances and mesh resources that AWS's controller left."),
)
_CLUSTER_RECORD = Record(
    record(
        eks=may(_CLUSTER, "Its name in EKS, if that differs."),
        region=may(_REGION, "Its region, if that differs."),
        roleArn=may(_ROLE, "The role to assume for it, in another account."),
        externalId=may(Text(2, 1_224), "The external id that the role asks for."),
        controller=may(one_of("injector-only"), "AWS's App Mesh controller stays for its webhook, its write rights taken away."),
        zonal_shift=may(one_of("follow"), "Pods of a zone that ARC shifted traffic away from leave Cloud Map until the shift ends."),
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
    clusters=need(Table(_CLUSTER_RECORD, _CLUSTER, 1), "The EKS clusters by name, at least one, such as `eksc1: {}`."),
    canaries=may(Table(_CANARY_RECORD, _CANARY), "Probes from outside, by name."),
    policy=may(_POLICY, "How carefully instances are removed."),
    security_groups=may(one_of("none", "check", "open"), "What is done about the listener ports between clusters."),
    readiness_gate=may(Flag(), "Open the readiness gate aws-cloudmap-healthy of pods that declare it, once they are registered and found."),
)
