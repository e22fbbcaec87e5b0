"""Why a right is given, by action, as docs/reference/iam.md tells it. A situation (situations.py) shows that it is needed."""

DNS = "Cloud Map does it in our name for an instance of a service with DNS records (Cloud Map developer guide, API permissions)"
ANY_CHECK = "Route 53 chooses a check's id and has no condition key, so one check cannot be told from another"
KINDS = ("Mesh", "VirtualNode", "VirtualGateway", "VirtualRouter", "VirtualService", "Route", "GatewayRoute")
PLURALS = ("VirtualNodes", "VirtualGateways", "VirtualRouters", "VirtualServices", "Routes", "GatewayRoutes")
REASONS = {
    "dynamodb:GetItem": "the lease, the memory, and what people asked for",
    "dynamodb:PutItem": "small documents: memory, last look and run, verdicts, learned rates",
    "dynamodb:UpdateItem": "the lease, by compare-and-set: take, renew before each batch of writes, give back",
    "s3:GetObject": "the run's inputs, plan and outcomes",
    "s3:ListBucket": "outcomes by prefix; and S3 tells only those who may list that an object is not there",
    "s3:PutObject": "the run's inputs, plan and outcomes; objects of snapshots",
    "s3:DeleteObject": "old objects of snapshots, which no kept root names (only below snapshots/)",
    "servicediscovery:ListNamespaces": "ids of the namespaces that manifests name (Cloud Map takes no resource for it)",
    "servicediscovery:ListServices": "ids of services not yet known (Cloud Map takes no resource for it)",
    "servicediscovery:ListTagsForResource": "whose a service is (Cloud Map takes no resource for it)",
    "servicediscovery:GetService": "that a remembered id is still that service, and whether it has custom health",
    "servicediscovery:ListInstances": "the registry as it is; and the fresh read before each removal",
    "servicediscovery:DiscoverInstancesRevision": "whether anything moved since the last listing, so that a quiet look lists nothing",
    "servicediscovery:DiscoverInstances": "the end state of a service, proved in one call",
    "servicediscovery:GetInstancesHealthStatus": "custom health as it is marked",
    "servicediscovery:UpdateInstanceCustomHealthStatus": "an unready pod, where the service was made with custom health",
    "elasticloadbalancing:DescribeLoadBalancers": "the front's load balancer, on the way that a request takes",
    "elasticloadbalancing:DescribeInstanceHealth": "whether a classic load balancer's nodes are in service",
    "elasticloadbalancing:DescribeListeners": "whether it listens where the canary asks",
    "elasticloadbalancing:DescribeTargetGroups": "what it forwards to",
    "elasticloadbalancing:DescribeTargetHealth": "whether its targets are healthy",
    "ec2:DescribeSecurityGroups": "whether the clusters' groups let the mesh's ports in",
    "ec2:DescribeVpcs": "addresses that stand for the whole VPC in those groups",
    "ec2:AuthorizeSecurityGroupIngress": "a closed listener port between two clusters (only with `SecurityGroups=open`)",
    "ec2:RevokeSecurityGroupIngress": "a rule of ours that nothing needs any more (only with `SecurityGroups=open`)",
    "servicediscovery:GetOperation": "why a registration or removal that was accepted did not come about",
    "servicediscovery:CreateService": "the service that manifests name and that is not there",
    "servicediscovery:DeleteService": "a service of ours, empty, that no document names any more",
    "servicediscovery:TagResource": "our mark on services that we make, and the deployment's on those that we use",
    "servicediscovery:RegisterInstance": "a ready pod",
    "servicediscovery:DeregisterInstance": "a pod that is gone",
    "route53:ChangeResourceRecordSets": DNS,
    "route53:CreateHealthCheck": DNS,
    **{f"route53:{verb}HealthCheck": f"{DNS}; {ANY_CHECK}" for verb in ("Delete", "Get", "Update")},
    "eks:DescribeCluster": "endpoint and certificate of the clusters that crossmesh.yaml names",
    "sts:AssumeRole": "clusters of other accounts, by the roles that crossmesh.yaml names (only with ClusterRoleArns)",
    "states:DescribeExecution": "whether the lease's holder still runs; if not, the lease is taken over at once",
    "appmesh:TagResource": "our mark on what we make or adopt",
    "appmesh:ListTagsForResource": "whose a resource is, before it is changed or deleted",
    **{f"appmesh:Describe{kind}": "the declared resources as they are" for kind in KINDS},
    **{f"appmesh:List{kinds}": "resources that no manifest declares any more" for kinds in PLURALS},
    **{f"appmesh:Create{kind}": "declared and not there" for kind in KINDS},
    **{f"appmesh:Update{kind}": "ours, and different from the manifest" for kind in KINDS},
    **{f"appmesh:Delete{kind}": "ours, and no manifest declares it" for kind in KINDS},
}
MANAGED = {
    "AWSLambdaBasicExecutionRole": "logs; attached by SAM",
    "AWSXrayWriteOnlyAccess": "traces; attached by SAM for `Tracing: Active`",
    "AWSLambdaVPCAccessExecutionRole": (
        "network interfaces in `VpcSubnetIds`; attached by SAM to functions with `VpcConfig`, used only where that parameter is given"
    ),
}
EMULATED_NOT = "Roles that the local world's emulator does not ask are checked against the definitions: tests/contract/iam/test_other_roles.py."
