"""What AWS's webhooks refuse is an error; what only App Mesh refuses, a warning."""

import pytest

from tests.support.manifest_texts import HEAD, manifest, node, told

SERVICE = manifest("VirtualService", "s", "provider: {virtualNode: {virtualNodeRef: {name: a}}}")
TARGET = "action: {target: {virtualService: {virtualServiceRef: {name: s}}}"


def about_router(routes: str) -> list[str]:
    return _short(
        told(HEAD, node("a"), manifest("VirtualRouter", "r", f"listeners: [{{portMapping: {{port: 8080, protocol: http}}}}]\nroutes: {routes}"))
    )


def about_route(spec: str) -> list[str]:
    gateway = manifest("VirtualGateway", "g", "namespaceSelector: {}")
    return _short(told(HEAD, node("a"), SERVICE, gateway, manifest("GatewayRoute", "r", spec)))


def _short(lines: list[str]) -> list[str]:
    """Without file and line, which other tests look at."""
    return [f"{level} {code} {rest}" for level, code, _, rest in (line.split(" ", 3) for line in lines)]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("listeners: []", ["error no-discovery spec.listeners: VirtualNode shop/b has listeners but no serviceDiscovery"]),
        ("serviceDiscovery: {dns: {hostname: b}}\nlisteners: []", []),
        (
            "backends: [{virtualService: {virtualServiceRef: {name: s}}}, {virtualService: {virtualServiceRef: {name: s, namespace: shop}}}]",
            [
                "error duplicate-backend spec.backends[1].virtualService: the backend shop/s is named twice (first as spec.backends[0].virtualService)"
            ],
        ),
        (
            (
                "serviceDiscovery: {dns: {hostname: b}}\n"
                "listeners: [{portMapping: {port: 1, protocol: http}, connectionPool: {http: {maxConnections: 1}, tcp: {maxConnections: 1}}}]"
            ),
            ["error one-of spec.listeners[0].connectionPool: found the connection pools http and tcp, wanted one"],
        ),
        (
            "serviceDiscovery: {dns: {hostname: b}, awsCloudMap: {namespaceName: local, serviceName: s}}",
            [
                "warning no-pods spec: VirtualNode shop/b has no podSelector: it selects no pods, so nothing is registered for it",
                "warning api-refuses spec.serviceDiscovery: found awsCloudMap and dns in serviceDiscovery, wanted one choice; App Mesh refuses it",
            ],
        ),
        (
            "backendDefaults: {clientPolicy: {tls: {validation: {trust: {}}}}}",
            [
                "warning api-refuses spec.backendDefaults.clientPolicy.tls.validation.trust: found nothing in trust, wanted one choice; App Mesh refuses it"
            ],
        ),
    ],
)
def test_virtual_nodes(spec: str, said: list[str]) -> None:
    assert _short(told(HEAD, SERVICE, node("a"), manifest("VirtualNode", "b", spec))) == said


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ("[{name: x, httpRoute: {match: {prefix: /}, A}}, {name: z, httpRoute: {match: {path: {exact: /a}}, A}}]", []),
        (
            "[{name: x, httpRoute: {match: {prefix: /}, A}}, {name: x, httpRoute: {match: {prefix: /b}, A}}]",
            ["error duplicate-route spec.routes[1].name: the route x stands here twice (first on line 29)"],
        ),
        (
            "[{name: x, httpRoute: {match: {}, A}}]",
            ["error one-of spec.routes[0].httpRoute.match: found none of prefix, path, wanted exactly one"],
        ),
        (
            "[{name: x, httpRoute: {match: {prefix: /, path: {exact: /a}}, A}}]",
            ["error one-of spec.routes[0].httpRoute.match: found prefix and path, wanted exactly one of prefix, path"],
        ),
        (
            "[{name: x, httpRoute: {match: {path: {}}, A}}]",
            ["error one-of spec.routes[0].httpRoute.match.path: found none of exact, regex, wanted exactly one"],
        ),
        (
            "[{name: x, httpRoute: {match: {path: {exact: /a, regex: b}}, A}}]",
            ["error one-of spec.routes[0].httpRoute.match.path: found exact and regex, wanted exactly one of exact, regex"],
        ),
        (
            "[{name: x, httpRoute: {match: {prefix: /, headers: [{name: h, match: {exact: a, prefix: b}}]}, A}}]",
            [
                "warning api-refuses spec.routes[0].httpRoute.match.headers[0].match: found exact and prefix in match, wanted one choice; App Mesh refuses it"
            ],
        ),
        (
            "[{name: x}]",
            [
                (
                    "warning api-refuses spec.routes[0]: found no kind of route, wanted exactly one of grpcRoute, httpRoute, http2Route, tcpRoute; App Mesh refuses it"  # noqa: E501
                )
            ],
        ),
        (
            "[{name: x, httpRoute: {match: {prefix: 5}, A}}]",
            ["error not-text spec.routes[0].httpRoute.match.prefix: found the number 5, wanted text"],
        ),
        (
            (
                "[{name: x, httpRoute: {match: {prefix: /}, action: {weightedTargets: [{virtualNodeRef: {name: a}, weight: 60}, {virtualNodeRef: {name: a}, weight: 41}]}}}]"  # noqa: E501
            ),
            [
                "warning api-refuses spec.routes[0].httpRoute.action.weightedTargets: the weights add up to 101, allowed are 100; App Mesh refuses it",
                "warning duplicate-target spec.routes[0].httpRoute.action.weightedTargets[1]: the target shop/a stands twice in the route",
            ],
        ),
        (
            "[{name: x, httpRoute: {match: {prefix: /}, action: {weightedTargets: [{virtualNodeRef: {name: a}, weight: 0}]}}}]",
            ["error no-weight spec.routes[0].httpRoute.action.weightedTargets: all weights are 0: the route sends its requests nowhere"],
        ),
        (
            "[{name: x, httpRoute: {match: {prefix: color}, A}}]",
            [
                (
                    "error no-path spec.routes[0].httpRoute.match.prefix: found 'color', wanted a prefix that begins with /: "
                    "no path begins with anything else, so no request fits"
                )
            ],
        ),
        (
            "[{name: x, httpRoute: {match: {prefix: ''}, A}}]",
            [
                (
                    "error no-path spec.routes[0].httpRoute.match.prefix: found '', wanted a prefix that begins with /: "
                    "no path begins with anything else, so no request fits"
                )
            ],
        ),
        (
            "[{name: x, httpRoute: {match: {prefix: /}, action: {weightedTargets: [{virtualNodeRef: {name: a}, weight: -1}]}}}]",
            [
                (
                    "error out-of-range spec.routes[0].httpRoute.action.weightedTargets[0].weight: "
                    "found the number -1, wanted a whole number from 0 to 100"
                )
            ],
        ),
    ],
)
def test_virtual_routers(routes: str, said: list[str]) -> None:
    action = "action: {weightedTargets: [{virtualNodeRef: {name: a}, weight: 1}]}"
    assert about_router(routes.replace(" A}", f" {action}}}")) == said


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("httpRoute: {match: {hostname: {suffix: .a}}, T}}", []),
        ("{}", ["error one-of spec: found none of grpcRoute, httpRoute, http2Route, wanted exactly one"]),
        (
            "httpRoute: {match: {prefix: /}, T}}\nhttp2Route: {match: {prefix: /}, T}}",
            ["error one-of spec: found httpRoute and http2Route, wanted exactly one of grpcRoute, httpRoute, http2Route"],
        ),
        (
            "httpRoute: {match: {port: 1}, T}}",
            ["error one-of spec.httpRoute.match: found none of prefix, path and hostname, wanted at least one"],
        ),
        (
            "http2Route: {match: {prefix: /, path: {exact: /}}, T}}",
            ["error one-of spec.http2Route.match.path: found prefix and path, wanted one of them"],
        ),
        (
            "httpRoute: {match: {hostname: {exact: a, suffix: b}}, T}}",
            ["error one-of spec.httpRoute.match.hostname: found exact and suffix, wanted exactly one of exact, suffix"],
        ),
        (
            "httpRoute: {match: {prefix: /, headers: [{name: h, match: {exact: a, regex: b}}]}, T}}",
            [
                "error one-of spec.httpRoute.match.headers[0].match: found exact and regex, wanted exactly one of exact, prefix, regex, suffix, range"
            ],
        ),
        (
            "httpRoute: {match: {prefix: /, headers: [{name: h, match: {}}]}, T}}",
            ["error one-of spec.httpRoute.match.headers[0].match: found none, wanted exactly one of exact, prefix, regex, suffix, range"],
        ),
        (
            "httpRoute: {match: {prefix: /, headers: [{name: h, match: {range: {start: 2, end: 2}}}]}, T}}",
            ["error bad-range spec.httpRoute.match.headers[0].match.range: found a range from 2 to 2, wanted an end greater than the start"],
        ),
        (
            "httpRoute: {match: {prefix: /, queryParameters: [{name: q}, {name: r, match: {}}]}, T}}",
            ["error one-of spec.httpRoute.match.queryParameters[1].match: found an empty match, wanted exact"],
        ),
        (
            "httpRoute: {match: {prefix: /, headers: [{name: h}], queryParameters: [{name: r, match: {}}]}, T}}",
            ["warning one-of spec.httpRoute.match.queryParameters[0].match: found an empty match, wanted exact"],
        ),
        (
            "httpRoute: {match: {prefix: /}, T, rewrite: {}}}",
            ["error one-of spec.httpRoute.action.rewrite: found an empty rewrite, wanted prefix, path or hostname"],
        ),
        (
            "httpRoute: {match: {prefix: /}, T, rewrite: {prefix: {value: /}, path: {exact: /}}}}",
            ["error one-of spec.httpRoute.action.rewrite: found prefix and path, wanted one of them"],
        ),
        (
            "httpRoute: {match: {prefix: /}, T, rewrite: {prefix: {value: /a}}}}",
            ["error bad-prefix spec.httpRoute.action.rewrite.prefix.value: found '/a', wanted a prefix that begins and ends with /"],
        ),
        (
            "httpRoute: {match: {prefix: a/}, T, rewrite: {prefix: {value: /a/}}}}",
            ["error bad-prefix spec.httpRoute.match.prefix: found 'a/', wanted a prefix that begins with /"],
        ),
        (
            "httpRoute: {match: {prefix: /}, T, rewrite: {prefix: {value: /a/, defaultPrefix: ENABLED}}}}",
            ["error one-of spec.httpRoute.action.rewrite.prefix: found defaultPrefix and value, wanted one of them"],
        ),
        (
            "grpcRoute: {match: {port: 1}, T}}",
            ["error one-of spec.grpcRoute.match: found neither serviceName nor hostname, wanted at least one"],
        ),
        (
            "grpcRoute: {match: {hostname: {}}, T}}",
            ["error one-of spec.grpcRoute.match.hostname: found none of exact, suffix, wanted exactly one"],
        ),
        ("grpcRoute: {match: {serviceName: s, metadata: [{name: m, match: {}}]}, T, rewrite: {}}}", []),
        (
            "grpcRoute: {match: {serviceName: s, metadata: [{name: m, match: {exact: a, prefix: b}}]}, T}}",
            [
                "error one-of spec.grpcRoute.match.metadata[0].match: found exact and prefix, wanted exactly one of exact, prefix, regex, suffix, range"
            ],
        ),
    ],
)
def test_gateway_routes(spec: str, said: list[str]) -> None:
    assert about_route(spec.replace("T,", f"{TARGET},").replace("T}}", f"{TARGET}}}}}")) == said


def test_virtual_gateways() -> None:
    spec = """\
namespaceSelector: {}
listeners:
  - portMapping: {port: 1, protocol: http}
    connectionPool: {http: {maxConnections: 1}, grpc: {maxRequests: 1}}
    healthCheck: {intervalMillis: 5000, protocol: http, timeoutMillis: 2000, unhealthyThreshold: 2}
    tls:
      mode: STRICT
      certificate: {}
      validation: {trust: {acm: {certificateAuthorityARNs: [a]}}}"""
    assert _short(told(HEAD, manifest("VirtualGateway", "g", spec))) == [
        "error one-of spec.listeners[0].connectionPool: found the connection pools grpc and http, wanted one",
        (
            "warning api-refuses spec.listeners[0].healthCheck: healthyThreshold is missing: the CRD lets that pass and the controller sends 0, of 2 to 10; App Mesh refuses it"  # noqa: E501
        ),
        "warning api-refuses spec.listeners[0].tls.certificate: found nothing in certificate, wanted one choice; App Mesh refuses it",
        (
            "warning api-refuses spec.listeners[0].tls.validation.trust.acm: the API knows no acm trust in a gateway listener's validation: "
            "an empty trust is sent; App Mesh refuses it"
        ),
    ]


def test_meshes_and_quotas() -> None:
    assert _short(told(HEAD.replace("spec: {", "spec: {meshOwner: me, "))) == [
        "warning api-refuses spec.meshOwner: found 'me', wanted an account id of 12 digits; App Mesh refuses it"
    ]
    many = "".join(manifest("VirtualNode", f"node-{i}", "{}") for i in range(201))
    assert _short(told(HEAD, many)) == ["warning quota 201 VirtualNodes in mesh shop, the default quota is 200"]
    routes = (
        "["
        + ", ".join(
            f"{{name: r{i}, httpRoute: {{match: {{prefix: /{i}}}, action: {{weightedTargets: [{{virtualNodeRef: {{name: a}}, weight: 1}}]}}}}}}"
            for i in range(51)
        )
        + "]"
    )
    assert about_router(routes) == ["warning quota spec.routes: 51 routes of a virtual router, the default quota is 50"]
