"""All questions."""

from tests.conformance.second import app_mesh, cloud_map_instances, cloud_map_limits, cloud_map_services, kept, networks, operated
from tests.conformance.second.asked import QUESTIONS as QUESTIONS

PARTS = (cloud_map_services, cloud_map_instances, cloud_map_limits, app_mesh, networks, kept, operated)  # each puts its own into QUESTIONS
