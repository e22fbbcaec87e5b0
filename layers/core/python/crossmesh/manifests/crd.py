"""The fields of the `appmesh.k8s.aws/v1beta2` kinds: types, lengths, ranges, words and what must be
there.

Facts of the CRDs of aws-app-mesh-controller-for-k8s (config/crd/bases, 7588d122c3c4). What its
webhooks refuse beyond them is `core.compiler.admission`. `status`, and what the API server itself
writes into `metadata`, is no concern of a manifest's reader.
"""

from crossmesh.manifests.schema import Flag, Listing, Record, Table, Text, Whole, need, one_of, record, with_members

GROUP = "appmesh.k8s.aws"
VERSION = f"{GROUP}/v1beta2"
OLD_VERSION = f"{GROUP}/v1beta1"
CLUSTER_WIDE = ("Mesh", "Namespace")

ANY = Text()
_SHORT = Text(1, 255)
_PORT = Whole(1, 65_535)
_FREE_PORT = Whole(0)
_COUNT = Whole(1)
_PROTOCOL = one_of("grpc", "http", "http2", "tcp")
_GATEWAY_PROTOCOL = one_of("grpc", "http", "http2")
_METHOD = one_of("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
_ON_OFF = one_of("ENABLED", "DISABLED")

_SELECTOR = record(
    matchLabels=Table(ANY),
    matchExpressions=Listing(
        record(key=need(ANY), operator=need(one_of("In", "NotIn", "Exists", "DoesNotExist")), values=Listing(ANY))
    ),
)
_MESH_REF = record(name=need(ANY), uid=need(ANY))
_REF = record(name=need(ANY), namespace=ANY)
_DURATION = record(unit=need(one_of("s", "ms")), value=need(Whole(0)))
PORT_MAPPING = record(port=need(_PORT), protocol=need(_PROTOCOL))

_FILE_TRUST = record(certificateChain=need(_SHORT))
_SDS = record(secretName=need(ANY))
_FILE_CERTIFICATE = record(certificateChain=need(_SHORT), privateKey=need(_SHORT))
_ACM_TRUST = record(certificateAuthorityARNs=need(Listing(ANY, 1, 3)))
_ALTERNATIVE_NAMES = record(match=need(record(exact=need(Listing(ANY)))))
_CLIENT_TRUST = record(acm=_ACM_TRUST, file=_FILE_TRUST, sds=_SDS)
CLIENT_POLICY = record(
    tls=record(
        certificate=record(file=_FILE_CERTIFICATE, sds=_SDS),
        enforce=Flag(),
        ports=Listing(_PORT),
        validation=need(record(subjectAlternativeNames=_ALTERNATIVE_NAMES, trust=need(_CLIENT_TRUST))),
    )
)
_LISTENER_TLS = record(
    certificate=need(record(acm=record(certificateARN=need(ANY)), file=_FILE_CERTIFICATE, sds=_SDS)),
    mode=need(one_of("DISABLED", "PERMISSIVE", "STRICT")),
    validation=record(subjectAlternativeNames=_ALTERNATIVE_NAMES, trust=need(record(file=_FILE_TRUST, sds=_SDS))),
)
_GATEWAY_LISTENER_TLS = with_members(
    _LISTENER_TLS, validation=record(subjectAlternativeNames=_ALTERNATIVE_NAMES, trust=need(_CLIENT_TRUST))
)
HEALTH_CHECK = record(
    healthyThreshold=need(Whole(2, 10)),
    intervalMillis=need(Whole(5_000, 300_000)),
    path=ANY,
    port=_PORT,
    protocol=need(_PROTOCOL),
    timeoutMillis=need(Whole(2_000, 60_000)),
    unhealthyThreshold=need(Whole(2, 10)),
)
LOGGING = record(
    accessLog=record(
        file=record(
            format=record(json=Listing(record(key=need(Text(1)), value=need(Text(1)))), text=ANY),
            path=need(_SHORT),
        )
    )
)
_HTTP_POOL = record(maxConnections=need(_COUNT), maxPendingRequests=_COUNT)
_REQUEST_POOL = record(maxRequests=need(_COUNT))
_GATEWAY_POOL = record(grpc=_REQUEST_POOL, http=_HTTP_POOL, http2=_REQUEST_POOL)
_TIMEOUT = record(idle=_DURATION, perRequest=_DURATION)
_IDLE = record(idle=_DURATION)

_MATCHING = record(
    exact=_SHORT,
    prefix=_SHORT,
    range=record(end=need(Whole()), start=need(Whole())),
    regex=_SHORT,
    suffix=_SHORT,
)
HEADERS = Listing(record(invert=Flag(), match=_MATCHING, name=need(Text(1, 50))), 1, 10)
_PATH = record(exact=_SHORT, regex=_SHORT)
_QUERY = Listing(record(match=record(exact=ANY), name=need(ANY)), 1, 10)
_TARGETS = record(
    weightedTargets=need(
        Listing(record(port=_FREE_PORT, virtualNodeARN=ANY, virtualNodeRef=_REF, weight=need(Whole(0, 100))), 1, 10),
    )
)
HTTP_EVENTS = Listing(one_of("server-error", "gateway-error", "client-error", "stream-error"), 1, 25)
TCP_EVENTS = Listing(one_of("connection-error"), 1, 1)
GRPC_EVENTS = Listing(one_of("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"), 1, 5)
_HTTP_RETRY = record(
    httpRetryEvents=HTTP_EVENTS, maxRetries=need(Whole(0)), perRetryTimeout=need(_DURATION), tcpRetryEvents=TCP_EVENTS
)
_HTTP_ROUTE = record(
    action=need(_TARGETS),
    match=need(
        record(
            headers=HEADERS,
            method=_METHOD,
            path=_PATH,
            port=_FREE_PORT,
            prefix=ANY,
            queryParameters=_QUERY,
            scheme=one_of("http", "https"),
        )
    ),
    retryPolicy=_HTTP_RETRY,
    timeout=_TIMEOUT,
)
_GRPC_ROUTE = record(
    action=need(_TARGETS),
    match=need(record(metadata=HEADERS, methodName=Text(1, 50), port=_FREE_PORT, serviceName=ANY)),
    retryPolicy=with_members(_HTTP_RETRY, grpcRetryEvents=GRPC_EVENTS),
    timeout=_TIMEOUT,
)
_TCP_ROUTE = record(action=need(_TARGETS), match=record(port=_FREE_PORT), timeout=_IDLE)

_GATEWAY_TARGET = need(
    record(port=_FREE_PORT, virtualService=need(record(virtualServiceARN=ANY, virtualServiceRef=_REF)))
)
_HOST_REWRITE = record(defaultTargetHostname=_ON_OFF)
_HOST_MATCH = record(exact=Text(1, 253), suffix=Text(1, 253))
_HTTP_GATEWAY_ROUTE = record(
    action=need(
        record(
            rewrite=record(
                hostname=_HOST_REWRITE, path=record(exact=_SHORT), prefix=record(defaultPrefix=_ON_OFF, value=_SHORT)
            ),
            target=_GATEWAY_TARGET,
        )
    ),
    match=need(
        record(
            headers=HEADERS,
            hostname=_HOST_MATCH,
            method=_METHOD,
            path=_PATH,
            port=_FREE_PORT,
            prefix=ANY,
            queryParameters=_QUERY,
        )
    ),
)
_GRPC_GATEWAY_ROUTE = record(
    action=need(record(rewrite=record(hostname=_HOST_REWRITE), target=_GATEWAY_TARGET)),
    match=need(record(hostname=_HOST_MATCH, metadata=HEADERS, port=_FREE_PORT, serviceName=ANY)),
)

KINDS: dict[str, Record] = {
    "Mesh": record(
        awsName=ANY,
        egressFilter=record(type=need(one_of("ALLOW_ALL", "DROP_ALL"))),
        meshOwner=ANY,
        meshServiceDiscovery=record(ipPreference=one_of("IPv6_ONLY", "IPv4_ONLY")),
        namespaceSelector=_SELECTOR,
    ),
    "VirtualNode": record(
        awsName=ANY,
        backendDefaults=record(clientPolicy=CLIENT_POLICY),
        backendGroups=Listing(_REF),
        backends=Listing(
            record(
                virtualService=need(record(clientPolicy=CLIENT_POLICY, virtualServiceARN=ANY, virtualServiceRef=_REF))
            ),
        ),
        listeners=Listing(
            record(
                connectionPool=with_members(_GATEWAY_POOL, tcp=record(maxConnections=need(_COUNT))),
                healthCheck=HEALTH_CHECK,
                outlierDetection=record(
                    baseEjectionDuration=need(_DURATION),
                    interval=need(_DURATION),
                    maxEjectionPercent=need(Whole(0, 100)),
                    maxServerErrors=need(_COUNT),
                ),
                portMapping=need(PORT_MAPPING),
                timeout=record(grpc=_TIMEOUT, http=_TIMEOUT, http2=_TIMEOUT, tcp=_IDLE),
                tls=_LISTENER_TLS,
            )
        ),
        logging=LOGGING,
        meshRef=_MESH_REF,
        podSelector=_SELECTOR,
        serviceDiscovery=record(
            awsCloudMap=record(
                attributes=Listing(record(key=need(_SHORT), value=need(Text(1, 1_024)))),
                namespaceName=need(Text(1, 1_024)),
                serviceName=need(Text(1, 1_024)),
            ),
            dns=record(hostname=need(ANY), responseType=one_of("ENDPOINTS", "LOADBALANCER")),
        ),
    ),
    "VirtualService": record(
        awsName=ANY,
        meshRef=_MESH_REF,
        provider=record(
            virtualNode=record(virtualNodeARN=ANY, virtualNodeRef=_REF),
            virtualRouter=record(virtualRouterARN=ANY, virtualRouterRef=_REF),
        ),
    ),
    "VirtualRouter": record(
        awsName=ANY,
        listeners=Listing(record(portMapping=need(PORT_MAPPING)), 1),
        meshRef=_MESH_REF,
        routes=Listing(
            record(
                grpcRoute=_GRPC_ROUTE,
                http2Route=_HTTP_ROUTE,
                httpRoute=_HTTP_ROUTE,
                name=need(ANY),
                priority=Whole(0, 1_000),
                tcpRoute=_TCP_ROUTE,
            )
        ),
    ),
    "VirtualGateway": record(
        awsName=ANY,
        backendDefaults=record(clientPolicy=CLIENT_POLICY),
        gatewayRouteSelector=_SELECTOR,
        listeners=Listing(
            record(
                connectionPool=_GATEWAY_POOL,
                healthCheck=with_members(HEALTH_CHECK, healthyThreshold=Whole(2, 10), protocol=need(_GATEWAY_PROTOCOL)),
                portMapping=need(record(port=need(_PORT), protocol=need(_GATEWAY_PROTOCOL))),
                tls=_GATEWAY_LISTENER_TLS,
            )
        ),
        logging=LOGGING,
        meshRef=_MESH_REF,
        namespaceSelector=_SELECTOR,
        podSelector=_SELECTOR,
    ),
    "GatewayRoute": record(
        awsName=ANY,
        grpcRoute=_GRPC_GATEWAY_ROUTE,
        http2Route=_HTTP_GATEWAY_ROUTE,
        httpRoute=_HTTP_GATEWAY_ROUTE,
        meshRef=_MESH_REF,
        priority=Whole(0, 1_000),
        virtualGatewayRef=record(name=need(ANY), namespace=ANY, uid=need(ANY)),
    ),
    "BackendGroup": record(meshRef=_MESH_REF, virtualservices=Listing(_REF)),
}
