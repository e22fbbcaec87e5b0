"""The YAML reader: Kubernetes' reading of words and numbers, positions, and bounded, named failures."""

import itertools

import pytest
from crossmesh.manifests import load
from crossmesh.manifests.yaml_composer import ALIASED, DEPTH
from crossmesh.manifests.yaml_documents import LIMIT, line_of, read

from tests.support.manifest_texts import say


def values(text: str) -> list[object]:
    trees, findings = read("f.yaml", text.encode())
    assert findings == []
    return [tree.value for tree in trees]


def mistakes(data: bytes | str) -> list[str]:
    return [say(f) for f in read("f.yaml", data.encode() if isinstance(data, str) else data)[1]]


@pytest.mark.parametrize("word", ["y", "Y", "yes", "Yes", "on", "ON", "true", "True"])
def test_words_that_kubernetes_reads_as_true(word: str) -> None:
    assert values(f"a: {word}\nb: '{word}'\n") == [{"a": True, "b": word}]


@pytest.mark.parametrize("word", ["n", "N", "no", "off", "OFF", "false", "FALSE"])
def test_words_that_kubernetes_reads_as_false(word: str) -> None:
    assert values(f'a: {word}\nb: "{word}"\n') == [{"a": False, "b": word}]


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("8080", 8080),
        ("0x10", 16),
        ("010", 8),
        ("0o17", 15),
        ("0b11", 3),
        ("1_000", 1000),
        ("-5", -5),
        ("+5", 5),
        ("08", 8.0),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("18446744073709551615", 2**64 - 1),
        ("~", None),
        ("", None),
        ("null", None),
        ("nUll", "nUll"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("1.2.3", "1.2.3"),
        ("-", [None]),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5),
    ],
)
def test_numbers_null_and_text(written: str, read_as: object) -> None:
    (value,) = values(f"a:\n  {written}\nz: 1\n")
    assert value == {"a": read_as, "z": 1}
    assert type(value["a"]) is type(read_as)  # type: ignore[index]


def test_documents_empty_ones_comments_and_directives() -> None:
    text = "%YAML 1.1\n--- # first\na: 1\n---\n# nothing\n---\n---\nb: 2\n...\n---\nc: 3\n"
    trees, findings = read("f.yaml", text.encode())
    assert findings == []
    assert [(tree.document, tree.value, tree.line) for tree in trees] == [(0, {"a": 1}, 3), (1, {"b": 2}, 8), (2, {"c": 3}, 11)]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_file_is_fine(text: str) -> None:
    assert values(text) == []


def test_a_separator_inside_a_block_is_text() -> None:
    assert values("a: |\n  ---\n  b\n---\nc: 1\n") == [{"a": "---\nb\n"}, {"c": 1}]


def test_json_is_read_with_lines() -> None:
    trees, findings = read("f.json", b'{\n\t"a": {\n\t\t"b": [1,\n\t\t2]}\n}')
    assert findings == []
    assert trees[0].value == {"a": {"b": [1, 2]}}
    assert trees[0].lines == {"": 1, "a": 2, "a.b": 3, "a.b[0]": 3, "a.b[1]": 4}


def test_lines_of_fields_with_windows_line_ends() -> None:
    trees, _ = read("f.yaml", b"a:\r\n  - b: 1\r\n\r\n    c: 2\r\n---\r\nd: 3\r\n")
    assert trees[0].lines["a[0].c"] == 4
    assert trees[1].lines["d"] == 6
    assert line_of(trees[0].lines, "a[0].c.gone[3]") == 4
    assert line_of(trees[0].lines, "gone", 7) == 1


def test_anchors_aliases_and_merges() -> None:
    text = "base: &base {a: 1, b: 2}\nall:\n  <<: *base\n  b: 3\nlist:\n  <<: [*base, {c: 4}]\nsame: *base\n"
    assert values(text) == [{"base": {"a": 1, "b": 2}, "all": {"a": 1, "b": 3}, "list": {"a": 1, "b": 2, "c": 4}, "same": {"a": 1, "b": 2}}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\tb: 1\n", ["error not-yaml f.yaml:2: a tab indents this line; YAML indents with spaces"]),
        (
            "a: [1,\nb: 2\n",
            ["error not-yaml f.yaml:2: not YAML: did not find expected ',' or ']' while parsing a flow sequence begun on line 1"],
        ),
        (
            "ok: 1\n---\na: 'x\n",
            ["error not-yaml f.yaml:3: not YAML: found unexpected end of stream while scanning a quoted scalar begun on line 3"],
        ),
        ("a: 1\na: 2\n", ["error duplicate-key f.yaml:2 a: a stands here twice (first on line 1)"]),
        ("x:\n  - a: 1\n    a: 2\n", ["error duplicate-key f.yaml:3 x[0].a: a stands here twice (first on line 2)"]),
        ("a: *gone\n", ["error not-yaml f.yaml:1: no anchor &gone stands before this alias"]),
        ("a: &a [*a]\n", ["error not-yaml f.yaml:1: no anchor &a stands before this alias"]),
        ("a:\n  ? [b]\n  : c\n", ["error bad-key f.yaml:2: a key here is not text"]),
        ("a: !Ref b\n", ["error bad-value f.yaml:1 a: 'b' has the tag !Ref, which manifests do not know"]),
        ("a: !!int b\n", ["error bad-value f.yaml:1 a: 'b' is no int, as its tag says"]),
        ("a:\n  - .inf\n", ["error bad-value f.yaml:2 a[0]: .inf is no number that JSON has"]),
        ("a: 1e999\n", ["error bad-value f.yaml:1 a: the number 1e999 is out of range"]),
        ("on: 1\n", ["warning surprising-key f.yaml:1 true: the key on reads as true"]),
        ("a: 1\n---\n<<: 5\n", ["error not-yaml f.yaml:3: `<<` merges something that is not an object"]),
        (b"a: 1\nb: \xff\n", ["error not-utf8 f.yaml:2: byte 8 (0xff) is not UTF-8"]),
        (b"a: 1\nb: \x01\n", ["error not-yaml f.yaml:2: not YAML: control characters are not allowed"]),
        (b"\xff\xfea\x00", ["error not-utf8 f.yaml:1: the file is UTF-16, as its first two bytes say"]),
    ],
)
def test_mistakes_name_file_and_line(text: str | bytes, said: list[str]) -> None:
    assert mistakes(text) == said


def test_a_broken_document_hides_no_other() -> None:
    trees, findings = read("f.yaml", b"a: 1\n---\nb: }\n---\nc: 3\n---\nd: [\n")
    assert [(tree.document, tree.value) for tree in trees] == [(0, {"a": 1}), (2, {"c": 3})]
    assert [(f.place.document, f.place.line) for f in findings] == [(1, 3), (3, 7)]


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    names = "abcdefghij"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{here}: &{here} [{', '.join([f'*{before}'] * 10)}]" for before, here in itertools.pairwise(names)]
    assert mistakes("\n".join(lines)) == [f"error alias-bomb f.yaml:5: aliases stand for more than {ALIASED:,} values"]


def test_a_bomb_over_many_documents_is_one_too() -> None:
    part = f"---\na: &a [{', '.join(['x'] * 500)}]\nb: [{', '.join(['*a'] * 99)}]\n"
    assert [f.code for f in read("f.yaml", (part * 3).encode())[1]] == ["alias-bomb"]


def test_depth_and_size_are_bounded() -> None:
    assert mistakes("[" * (DEPTH + 1) + "]" * (DEPTH + 1)) == [f"error too-deep f.yaml:1: found more than {DEPTH} levels of nesting"]
    assert values("[" * DEPTH + "]" * DEPTH)
    assert mistakes("[" * 100_000)[0].startswith("error ")
    assert mistakes(b"#" * (LIMIT + 1)) == [f"error file-too-large f.yaml:1: found {LIMIT + 1:,} bytes, allowed are {LIMIT:,}"]
    assert read("f.yaml", b"#" * LIMIT) == ([], [])


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("apiVersion: apps/v1\nkind: Deployment\nspec: {image: {{IMAGE}}}\n", "warning"),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  annotations:\n    a: {{ .Values.b }}\n", "warning"),
        ("apiVersion: appmesh.k8s.aws/v1beta2\nkind: VirtualNode\nspec: {port: {{PORT}}}\n", "error"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: {{NAME}}}\n", "error"),
        ("apiVersion: v1\nkind: List\nitems: [{{ITEMS}}]\n", "error"),
        ("{{- if .Values.mesh }}\nkind: VirtualNode\n", "error"),
    ],
)
def test_an_unfilled_template_is_an_error_only_where_a_manifest_of_ours_may_be_in_it(text: str, level: str) -> None:
    trees, findings = read("f.yaml", f"{text}---\napiVersion: v1\nkind: Namespace\n".encode())
    assert [finding.level for finding in findings] == [level]
    assert [tree.value["kind"] for tree in trees] == ["Namespace"], "the next document is read all the same"


def test_an_empty_value_at_the_end_is_on_a_line_that_exists() -> None:
    loaded = load([("mesh.yaml", b"? ''")])
    assert [finding.place.line for finding in loaded.findings] == [1]


# --- a byte order mark --------------------------------------------------------------------------------------------------------------------

ONE, TWO = "kind: A\nname: one\n", "kind: B\nname: two\n"


@pytest.mark.parametrize(
    "text",
    [
        f"\ufeff{ONE}---\n\ufeff{TWO}",  # two files with their marks, a separator between them
        f"\ufeff---\n{ONE}---\n\ufeff{TWO}",
        f"--- # one\n\ufeff{ONE}---\r\n\ufeff{TWO}",
    ],
)
def test_a_mark_may_begin_each_document(text: str) -> None:
    assert values(text) == [{"kind": "A", "name": "one"}, {"kind": "B", "name": "two"}]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{ONE}\ufeff---\n{TWO}", 3),  # joined by `cat`: the mark hides the separator
        (f"{ONE}\ufeff{TWO}", 3),  # and here there is none
        (f"---\n# a comment\n\ufeff{ONE}", 3),
        ("kind: A\nspec:\n  a: 1\n\ufeffname: x\n", 4),
    ],
)
def test_a_mark_within_a_document_is_named_as_what_it_is(text: str, line: int) -> None:
    """Nobody sees it, and `correct the syntax` helps nobody."""
    (said,) = mistakes(text)
    assert said.startswith(f"error byte-order-mark f.yaml:{line}")
    assert "two files were joined here" in said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_a_file_in_utf_16_is_told_as_that(encoding: str) -> None:
    (said,) = mistakes(("\ufeff" if encoding != "utf-16" else "").encode(encoding) + ONE.encode(encoding))
    assert "the file is UTF-16" in said
