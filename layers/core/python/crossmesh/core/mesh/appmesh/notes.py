"""What a person should know of App Mesh's plan. Pure."""

from crossmesh.core.mesh.appmesh.plan import MeshPlan


def of_plan(plan: MeshPlan) -> tuple[str, ...]:
    """Notes about changes that App Mesh makes, but not without harm."""
    return tuple(
        f"{action.target}: its health check changes in place: Envoys may refuse its endpoints for up to half an hour"
        " (aws-app-mesh-roadmap#192); a new virtual node beside it does not"
        for action in plan.actions
        if action.verb == "update"
        and any("healthCheck" in change.field.split(".") and change.old and change.new for change in action.changes)
    )
