"""Lint the state machines: cfn-lint looks into them only as native resources, so render each as one, with stand-in ARNs for its substitutions."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARN = "arn:aws:lambda:us-east-1:111122223333:function:stand-in"


def main() -> int:
    """0 = clean."""
    resources = {}
    for file in sorted((ROOT / "statemachines").glob("*.asl.json")):
        text = file.read_text()
        json.loads(text)  # valid before substitution
        definition = json.loads(re.sub(r"\$\{\w+\}", ARN, text))
        name = re.sub(r"\W", "", file.name.partition(".")[0].title())
        properties = {"RoleArn": "arn:aws:iam::111122223333:role/stand-in", "Definition": definition}
        resources[name] = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as rendered:
        json.dump({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}, rendered)
        rendered.flush()
        return subprocess.run(["cfn-lint", "--regions", "us-east-1", "--", rendered.name], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
