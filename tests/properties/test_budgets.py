"""What a border may cost, whatever comes: time and memory of hostile input, measured in processes of their own.

The margins are wide: a bomb misses them by far.
"""

import pytest

from tests.support.measured import measured

PEAK, SECONDS = 500, 60.0  # MB and seconds of processor time; the bombs took gigabytes or minutes

READ = "from crossmesh.manifests import load\nfrom crossmesh.manifests.settings.load import load_settings\n"
HEAD = 'head = "apiVersion: appmesh.k8s.aws/v1beta2\\nkind: VirtualNode\\nmetadata: {name: x, namespace: y}\\nspec:\\n"\n'
YAML = {
    "long keys, deeply nested": (  # 320 KB of this took 6 GB
        "data = head.encode() + b''.join(b' ' * (d + 1) + b'? ' + b'A' * 3_000 + b'\\n' + b' ' * (d + 1) + b':\\n' for d in range(90))"
        " + b' ' * 95 + b'[' + b'1,' * 25_000 + b'1]\\n'"
    ),
    "keys of the longest kind, deeply nested, many below": (
        "data = (head + ''.join(' ' * (d + 1) + 'k' * 300 + f'{d}:\\n' for d in range(90)) + ' ' * 95 + '[' + '1,' * 150_000 + '1]\\n').encode()"
    ),
    "a list of millions": "data = (head + ' a: [' + '1,' * 2_300_000 + '1]\\n').encode()",
    "millions of keys": "data = (head + ''.join(f' k{n}: 1\\n' for n in range(400_000))).encode()",
    "a key written a million times": "data = (head + ' a: 1\\n' * 800_000).encode()",
    "surprising keys": "data = (head + ''.join(f' 0x{n:x}: y\\n' for n in range(400_000))).encode()",
    "thousands of documents with mistakes": "data = ('---\\n' + head + ' nonsense: 1\\n').encode() * 40_000",
    "astral keys": "data = (head + ''.join(f' ? {chr(0x1F600) * 300}{n}\\n :\\n  - 1\\n' for n in range(3_000))).encode()",
    "merges of merges": (
        "data = (head + ' m0: &m0 {a: 1}\\n' + ''.join(f' m{n}: &m{n} {{<<: [' + ','.join([f'*m{n-1}'] * 9) + ']}\\n' for n in range(1, 90))).encode()"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", YAML)
def test_a_yaml_file_of_at_most_five_megabytes_costs_a_bounded_amount(kind: str) -> None:
    cost = measured(READ + HEAD + YAML[kind] + "\nassert len(data) <= 5_000_000, len(data)", "answer = len(load([('x.yaml', data)]).findings)")
    assert cost.peak < PEAK, cost
    assert cost.seconds < SECONDS, cost
    assert cost.answer >= 1, "it is told"
    assert cost.answer <= 150_000


@pytest.mark.parametrize("kind", ["long keys, deeply nested", "a list of millions", "millions of keys"])
def test_so_does_a_settings_file(kind: str) -> None:
    cost = measured(READ + "head = 'owner: me\\nmesh:\\n'\n" + YAML[kind], "answer = len(load_settings('crossmesh.yaml', data).findings)")
    assert cost.peak < PEAK, cost
    assert cost.seconds < SECONDS, cost
    assert 1 <= cost.answer <= 1_000
