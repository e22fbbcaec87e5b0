"""cfn-lint finds nothing in the templates, in each Region that has every service that they or the deployed code use.

Its schemas of the resource types that the templates use decide what it can find in a Region. So one Region stands for all of its partition that have the
same schemas. Of me-south-1 cfn-lint has none and takes those of us-east-1.
"""

import json
import re
from pathlib import Path
from typing import Any

import botocore.session
from cfnlint.config import ConfigMixIn
from cfnlint.helpers import REGIONS
from cfnlint.runner import Runner
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from tests.conftest import SECOND_OPINION
from tests.contract.template import Filled
from world.deploy import ROOT

TEMPLATES = [ROOT / "template.yaml", ROOT / "clusters" / "role.yaml"]
PARTITIONS = ("aws", "aws-cn", "aws-us-gov")  # those that customers outside governments' closed networks can reach
OPTIONAL = {"appmesh"}  # the settings choose it, and AWS has ended it
GLOBAL = {"iam"}  # in every partition, listed in no Region


def used() -> set[str]:
    """Services by botocore's names: of the template's resources, and of the clients that the deployed code makes."""
    kinds = {resource["Type"].split("::")[1].lower() for resource in Filled().template["Resources"].values()}
    package = ROOT / "layers" / "core" / "python" / "crossmesh"
    files = [file for file in package.rglob("*.py") if "cli" not in file.relative_to(package).parts]
    return kinds | {name for file in files for name in re.findall(r'aws\.client\("(\w+)"', file.read_text())}


def regions() -> list[str]:
    """Regions that have all of them, and that cfn-lint knows."""
    session = botocore.session.get_session()
    known = set(session.get_available_services())
    services = used() - OPTIONAL - GLOBAL
    assert services <= known, services - known
    having = [{region for p in PARTITIONS for region in session.get_available_regions(service, p)} for service in services]
    return sorted(set.intersection(set(REGIONS), *having))


def standing_for(where: list[str]) -> dict[str, list[str]]:
    """Regions by the one that stands for them."""
    session = botocore.session.get_session()
    kinds = sorted({resource["Type"] for resource in Filled().template["Resources"].values()})
    alike: dict[tuple[str | None, ...], list[str]] = {}
    for region in where:
        there = set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))
        schemas = (json.dumps(PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, kind).schema) if kind in there else None for kind in kinds)
        alike.setdefault((session.get_partition_for_region(region), *schemas), []).append(region)
    return {regions[0]: regions for regions in alike.values()}


def lint(files: list[Path], where: list[str]) -> str:
    """What cfn-lint says; "" where it says nothing. In this process, which has its schemas and rules already."""
    config = ConfigMixIn(["--regions", *where, "--template", *map(str, files)])
    return "\n".join(f"{match.rule.id} {match.filename}:{match.linenumber}: {match.message}" for match in Runner(config).run())


def test_the_templates_are_clean_in_every_region_that_has_what_they_use(record_property: Any) -> None:
    where = regions()
    assert {"us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"} <= set(where)
    linted = standing_for(where)
    assert sorted(region for regions in linted.values() for region in regions) == where
    assert lint(TEMPLATES, sorted(linted)) == ""
    record_property(
        SECOND_OPINION,
        f"cfn-lint: {len(TEMPLATES)} templates in {', '.join(sorted(linted))}, which stand for {len(where)} Regions with the same schemas; nothing found",
    )


def test_what_a_region_does_not_have_is_told(tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    resource = {"Type": "AWS::CloudFront::Function", "Properties": {}}
    file.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"There": resource}}))
    said = lint([file], ["us-east-1", "cn-north-1"])
    assert "E3006" in said
    assert "cn-north-1" in said
    assert "us-east-1" not in said
