"""The adapters on moto, question by question beside the world's models: the same answer, or a difference that is listed with AWS's documentation as the
judge. The run's summary says how many operations were compared and which questions differ."""

import logging
import traceback
from typing import Any

import pytest

from tests.conformance.second.clouds import moto_cloud, noted, outcome, world_cloud
from tests.conformance.second.differences import DIFFERENCES, Crashed, Difference, Document, problems
from tests.conformance.second.questions import QUESTIONS
from tests.conftest import SECOND_OPINION


class Answers:
    """What each cloud said, and which operations it was asked."""

    def __init__(self, folder: Any) -> None:
        self.by_question: dict[str, Document] = {name: {} for name in QUESTIONS}
        self.operations: dict[str, set[str]] = {}
        for cloud in (world_cloud(folder), moto_cloud()):
            with cloud as asked, noted() as operations:
                for name, ask in QUESTIONS.items():
                    try:
                        self.by_question[name][asked.name] = outcome(ask, asked)
                    except Exception:  # noqa: BLE001 - of one question; the others are still to be asked
                        self.by_question[name][asked.name] = Crashed(traceback.format_exc())
                self.operations[asked.name] = set(operations)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Every question put to both."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return Answers(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("name", QUESTIONS)
def test_both_answer_alike_or_the_difference_is_listed(answers: Answers, name: str) -> None:
    assert problems(name, answers.by_question[name], DIFFERENCES) == []


def test_how_much_was_compared(answers: Answers, record_property: Any) -> None:
    both = answers.operations["world"] & answers.operations["moto"]
    differ = sorted(name for name, said in answers.by_question.items() if said["world"] != said["moto"])
    services = {operation.partition(":")[0] for operation in both}
    assert services >= {"servicediscovery", "appmesh", "eks", "ec2", "elb", "elbv2", "dynamodb", "s3", "cloudwatch", "stepfunctions"}
    assert len(both) > 60
    record_property(
        SECOND_OPINION,
        f"the adapters on moto: {len(QUESTIONS)} questions, {len(both)} operations of {len(services)} services compared; {len(differ)} questions differ"
        + "".join(f"\n  {name} ({DIFFERENCES[name].told_by} is right: {DIFFERENCES[name].source})" for name in differ if name in DIFFERENCES),
    )


def test_the_list_names_questions_that_are_asked() -> None:
    assert set(DIFFERENCES) <= set(QUESTIONS)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"world": 1, "moto": 1}, "take it off the list"),
        ({"world": 3, "moto": 2}, "and the manual 1"),
        ({"world": 1, "moto": 2}, ""),
    ],
)
def test_a_listed_difference_must_be_there_and_be_the_listed_one(said: Document, told: str) -> None:
    found = problems("q", said, {"q": Difference(1, "the manual")})
    assert bool(found) == bool(told)
    assert all(told in one for one in found)


def test_a_difference_that_is_not_listed_is_told() -> None:
    assert "find what AWS documents" in problems("q", {"world": 1, "moto": 2}, {})[0]
    assert problems("q", {"world": 1, "moto": 1}, {}) == []


@pytest.mark.parametrize("listed", [{}, {"q": Difference(1, "the manual")}])
def test_a_question_that_cannot_be_asked_is_no_answer(listed: dict[str, Difference]) -> None:
    assert "TypeError" in problems("q", {"world": Crashed("TypeError"), "moto": Crashed("TypeError")}, listed)[0]
    assert "TypeError" in problems("q", {"world": 1, "moto": Crashed("TypeError")}, listed)[0]
