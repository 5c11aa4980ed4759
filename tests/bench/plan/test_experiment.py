from __future__ import annotations

import hashlib
import json

import pytest

from bench.errors import BenchError
from bench.plan.experiment import CHOICES, Experiment, MethodEntry
from bench.plan.experiment_file import read_experiment

GOOD = """\
title: A title
why: A reason
dataset: synthetic
seeds: [0, 1]
methods:
  - method: mixture
    label: Mixture
  - method: drnn
    label: DNN
    fixed: {recurrent: none}
    sweep:
      gamma: [0, 0.05]
table:
  metrics: [gnsdr]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "exp.yaml"
        path.write_text(text)
        return path

    return write


def refused(path, *overrides) -> str:
    with pytest.raises(BenchError) as caught:
        read_experiment(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(path), "exp.yaml")


def test_a_good_file_is_read_and_named_by_its_file(write):
    experiment = read_experiment(write(GOOD))
    assert (experiment.name, experiment.seeds) == ("exp", [0, 1])
    assert experiment.protocols == ["bss_eval_v3"]


def test_a_sweep_gives_all_combinations_each_with_its_label(write):
    text = GOOD.replace("gamma: [0, 0.05]", "gamma: [0, 0.05]\n      hidden: [8, 9]")
    entry = read_experiment(write(text)).methods[1]
    variants = dict(entry.variants())
    assert len(variants) == 4
    assert variants["DNN (gamma = 0.05, hidden = 8)"] == {
        "recurrent": "none",
        "gamma": 0.05,
        "hidden": 8,
    }
    named = read_experiment(write(text.replace("label: DNN", "label: 'DNN {hidden}'"))).methods[1]
    assert "DNN 9 (gamma = 0)" in dict(named.variants())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds:", "seed:", "exp.yaml:4: unknown key 'seed'; did you mean 'seeds'?"),
        ("    label: DNN", "    labels: DNN", "exp.yaml:9: unknown key 'labels'; did you mean"),
        ("metrics: [", "metric: [", "exp.yaml:14: unknown key 'metric'; did you mean 'metrics'?"),
        ("gnsdr", "gsdnr", "exp.yaml:14: no metric 'gsdnr'; did you mean"),
        ("method: drnn", "method: drn", "exp.yaml:8: no method 'drn'; did you mean 'drnn'?"),
        ("gamma:", "gama:", "exp.yaml:12: drnn has no hyperparameter 'gama'; did you mean"),
        ("recurrent: none", "recurent: none", "exp.yaml:10: drnn has no hyperparameter"),
        ("recurrent: none", "recurrent: 7", "a layer from 1 to 3"),
        ("0.05]", "-1]", "gamma = -1 is refused; allowed: number, 0 or more, below 1"),
        ("synthetic", "synthetics", "exp.yaml:3: no dataset 'synthetics'; did you mean"),
        ("[0, 1]", "[]", "exp.yaml:4: seeds = []"),
        ("[0, 1]", "[zero]", "exp.yaml:4: seeds.0 = 'zero'"),
        ("[0, 1]", "[-1]", "exp.yaml:4: seeds.0 = -1"),
        ("[0, 1]", "[1, 1]", "exp.yaml:4: 1 stands twice in seeds"),
        ("[0, 0.05]", "[]", "exp.yaml:12: methods.1.sweep.gamma = []"),
        ("[0, 0.05]", "[0, .inf]", "gamma = inf"),
        ("recurrent: none", "gamma: 0.1", "exp.yaml:12: 'gamma' is fixed and swept"),
        ("why: A reason", "why: A reason\nwhy: B", "exp.yaml:3: not readable as YAML: key 'why'"),
        ("A title", "2020-01-01", "exp.yaml:1: title = "),
        ("[gnsdr]", "[sdr]", "bss_eval_v3 has none of these; it has gnsdr"),
        ("metrics: [gnsdr]", "targets: []", "exp.yaml:14: table.targets = []"),
        ("title: A title\n", "", "key 'title' is missing"),
        ("fixed: {recurrent: none}", "fixed: {seed: 3}", "seeds are set by the key 'seeds'"),
        ("dataset:", "protocols: [bss_eval]\ndataset:", "exp.yaml:3: no scoring protocol 'bss_ev"),
        ("label: DNN", "label: DNN\n    published: {voice: {gnsdr: 1}}", "no target 'voice'"),
        ("[gnsdr]", "[gnsdr, gnsdr]", "exp.yaml:14: 'gnsdr' stands twice in table.metrics"),
        ("metrics: [gnsdr]", "targets: [voice]", "exp.yaml:14: no target 'voice'; known: acc"),
        ("dataset:", "protocols: [usdr, usdr]\ndataset:", "'usdr' stands twice in protocols"),
        ("label: DNN", "label: DNN\n    published: {vocals: {gnsd: 1}}", "no metric 'gnsd'; did"),
        ("dataset:", "stft: {n_fft: 1023, hop: 2}\ndataset:", "exp.yaml:3: stft: n_fft must be"),
        ("dataset:", "stft: {n_fft: 1024}\ndataset:", "exp.yaml:3: stft: give n_fft and hop"),
        ("dataset:", "stft: {window: 3}\ndataset:", "unknown key 'window'; did you mean 'win"),
        (
            "dataset:",
            "stft: {n_fft: 0, hop: 0}\ndataset:",
            "stft: n_fft must be an even number of s",
        ),
        (
            "dataset:",
            "stft: {n_fft: 4, hop: true}\ndataset:",
            "stft.hop = True: it should be a val",
        ),
        (
            "dataset:",
            "stft: {window_s: 0.064, hop_s: .inf}\ndataset:",
            "exp.yaml:3: stft.hop_s = inf: it should be a finite number",
        ),
        (
            "dataset:",
            "stft: {window_s: 1.0e+308, hop_s: 0.01}\ndataset:",
            "exp.yaml:3: stft.window_s = 1e+308: it should be less than or equal to 3600",
        ),
        ("[0, 1]", "[true]", "exp.yaml:4: seeds.0 = True: it should be a valid number"),
        ("label: Mixture", "label: ''", "exp.yaml:7: methods.0.label: the label is empty; name"),
        ("label: Mixture", "label: ' '", "exp.yaml:7: methods.0.label: the label is empty; name"),
        (
            "label: DNN",
            "label: DNN\n    published: {vocals: {gnsdr: .nan}}",
            "exp.yaml:10: methods.1.published.vocals.gnsdr = nan: it should be a finite number",
        ),
        (
            "label: DNN",
            "label: DNN\n    published: {vocals: {gnsdr: -.inf}}",
            "exp.yaml:10: methods.1.published.vocals.gnsdr = -inf: it should be a finite number",
        ),
        (
            "label: DNN",
            "label: DNN\n    published: {vocals: {gnsdr: true}}",
            "exp.yaml:10: methods.1.published.vocals.gnsdr = True: it should be a valid number",
        ),
        ("dataset:", "figure: {ower: a}\ndataset:", "unknown key 'ower'; did you mean 'over'"),
        ("dataset:", "figure: {over: hidden}\ndataset:", "no swept hyperparameter 'hidden'; kn"),
        ("table:", "table:\n  rows: sorted", "table.rows = 'sorted': it should be 'listed' or"),
        ("metrics: [", "pivot: {rows: label, columns: gama}\n  metrics: [", "exp.yaml:14: no hyp"),
        ("metrics: [", "pivot: {rows: method, columns: gamma}\n  metrics: [", "no hyperparameter"),
        ("metrics: [", "pivot: {rows: label, columns: hidden}\n  metrics: [", "fall on one place"),
        ("method: mixture", "method: json:JSONDecoder", "is no subclass of"),
        ("method: mixture", "method: nowhere.at_all:Class", "there is no module nowhere"),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_the_nearest_name(write, old, new, message):
    assert old in GOOD
    assert message in refused(write(GOOD.replace(old, new)))


def test_an_experiment_comes_back_from_json(write):
    transform = "stft: {window_s: 64e-3, hop_s: 0.016}\npublished_source: A paper\n"
    experiment = read_experiment(write(transform + GOOD))
    assert Experiment.model_validate(json.loads(json.dumps(experiment.model_dump()))) == experiment


def test_two_rows_of_one_name_are_refused(write):
    text = GOOD.replace("label: DNN", "label: 'DNN {gamma}'").replace("[0, 0.05]", "[0, 0]")
    assert "two rows are named 'DNN 0'" in refused(write(text))


def test_a_label_names_fixed_and_swept_values_and_nothing_else(write):
    named = GOOD.replace("label: DNN", "label: 'DNN, {recurrent}, γ = {gamma}'")
    assert [label for label, _ in read_experiment(write(named)).methods[1].variants()] == [
        "DNN, none, γ = 0",
        "DNN, none, γ = 0.05",
    ]
    text = GOOD.replace("label: DNN", "label: 'DNN, {hidden} units'")
    assert "{hidden} stands for no value: write hidden into fixed or sweep" in refused(write(text))


def test_a_sweep_of_too_many_combinations_is_refused_before_they_are_made(write):
    many = {f"x{n}": list(range(10)) for n in range(10)}
    message = refused(write(GOOD), f"methods[1].sweep={json.dumps(many)}")
    assert "sweep has 10000000000 combinations; at most 10000" in message


def test_the_value_in_a_label_is_not_filled_again():
    entry = MethodEntry(method="x", label="{a} and {b}", fixed={"a": "{b}{b}", "b": "{a}{a}"})
    assert [label for label, _ in entry.variants()] == ["{b}{b} and {a}{a}"]


@pytest.mark.parametrize("value", ["!!bool foo", "!!timestamp foo", '!!int ""'])
def test_a_value_that_is_not_of_its_tag_is_refused_in_one_line(write, value):
    assert "not readable as YAML" in refused(write(f"a: {value}"))
    assert refused(write(GOOD), f"title={value}").startswith(f"-o title={value}: ")


def test_aliases_of_aliases_are_refused_before_they_are_followed(write):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for one, other in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{other}: &{other} [{', '.join([f'*{one}'] * 9)}]")
    message = refused(write("\n".join(lines) + f"\n{GOOD}"))
    assert message == "exp.yaml: not readable as YAML: it holds more than 100000 values"


def test_what_is_nested_too_deeply_is_refused_in_one_line(write):
    assert "nested too deeply" in refused(write("a: " + "[" * 100_000))
    assert "nested too deeply" in refused(write(GOOD), "seeds=" + "[" * 100_000)


@pytest.mark.parametrize("character", ["\\a", "\\e[31m", "\\0", "\\u202e", "\\x9b"])
def test_control_characters_are_refused_in_what_is_shown(write, character):
    for key in ("title: A title", "why: A reason", "label: Mixture"):
        name, _, value = key.partition(": ")
        text = GOOD.replace(key, f'{name}: "{value}{character}"')
        message = refused(write(text))
        assert "holds the control character" in message
        assert name in message
    for text in (r'"a\nb"', r'"T\x85"', r'"a\u2028b"'):
        assert "holds the control" in refused(write(GOOD.replace("A title", text)))
    block = GOOD.replace("title: A title", "title: >\n  A title")
    assert read_experiment(write(block)).title == "A title"


def test_two_rows_of_the_same_values_are_refused(write):
    text = GOOD.replace("table:", "  - {method: mixture, label: Again}\ntable:")
    assert "rows 'Mixture' and 'Again' are the same method" in refused(write(text))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('at import')", "cannot be imported: RuntimeError: at import"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("@separator\nclass Mine(Separator):\n    pass", "does not define separate"),
        (
            "@separator\nclass Mine(Separator):\n    GROUP = 'superbvised'\n"
            "    def separate(self, mixture, rate):\n        return {}",
            "has GROUP 'superbvised'; did you mean 'supervised'?",
        ),
        (
            "@separator\nclass Mine(Separator):\n    x: Path = Path('a')\n"
            "    def separate(self, mixture, rate):\n        return {}",
            "must be finite numbers, strings, or lists",
        ),
    ],
)
def test_a_strangers_method_that_cannot_be_used_is_refused(
    write, tmp_path, monkeypatch, body, message
):
    module = "stranger_" + hashlib.sha256(body.encode()).hexdigest()[:8]
    imports = "from pathlib import Path\nfrom bench.methods.separator import Separator, separator\n"
    (tmp_path / f"{module}.py").write_text(imports + body + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert message in refused(write(GOOD.replace("method: mixture", f"method: '{module}:Mine'")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: [unclosed", "exp.yaml:1: not readable as YAML"),
        ("- a list", "a mapping of keys to values"),
        ("", "a mapping of keys to values"),
        ("a: !!python/object/apply:os.system [echo]", "not readable as YAML"),
        ("a: &a [*a]", "not readable as YAML"),
    ],
)
def test_what_is_no_experiment_is_refused(write, text, message):
    assert message in refused(write(text))


def test_a_missing_file_is_refused(tmp_path):
    assert "no experiment file" in refused(tmp_path / "none.yaml")


def test_a_name_that_leaves_the_reports_folder_is_refused(write):
    assert "name = '../x'" in refused(write("name: ../x\n" + GOOD))


def test_overrides_reach_into_lists_and_are_validated(write):
    path = write(GOOD)
    changed = read_experiment(path, ["seeds=[5]", "methods[1].fixed.hidden=9", "name=other"])
    assert (changed.seeds, changed.name, changed.methods[1].fixed["hidden"]) == ([5], "other", 9)
    assert "unknown key 'sed'" in refused(path, "sed=1")
    assert "hyperparameter 'hiden'" in refused(path, "methods[1].fixed.hiden=9")
    assert "write key=value" in refused(path, "seeds")
    assert "-o methods[9].label=x" in refused(path, "methods[9].label=x")


def test_the_experiments_of_the_project_are_valid():
    from pathlib import Path

    paths = sorted((Path(__file__).parents[3] / "experiments").glob("*.yaml"))
    assert len(paths) >= 2
    for path in paths:
        for entry in read_experiment(path).methods:
            if entry.chosen not in ("", *CHOICES):
                assert path.with_name(f"{entry.chosen}.yaml").is_file(), path


def faults(path, *overrides) -> list[str]:
    """Return the lines of the error with which a file is refused."""
    with pytest.raises(BenchError) as caught:
        read_experiment(path, overrides)
    return str(caught.value).replace(str(path), "exp.yaml").splitlines()


def test_several_mistakes_are_named_at_once_each_with_its_line(write):
    text = GOOD.replace("why:", "whi:").replace("seeds: [0, 1]", "seeds: [0, a]")
    assert faults(write(text.replace("metrics: [gnsdr]", "metrics: [gnsd]"))) == [
        "exp.yaml:4: seeds.1 = 'a': it should be a valid integer, unable to parse string as an "
        "integer",
        "exp.yaml:14: no metric 'gnsd'; did you mean 'gnsdr'?",
        "exp.yaml:2: unknown key 'whi'; did you mean 'why'?",
    ]
    text = GOOD.replace("synthetic", "syntetic").replace("method: mixture", "method: mixtur")
    assert faults(write(text.replace("gamma: [", "gama: ["))) == [
        "exp.yaml:3: no dataset 'syntetic'; did you mean 'synthetic'?",
        "exp.yaml:6: no method 'mixtur'; did you mean 'mixture'?",
        "exp.yaml:12: drnn has no hyperparameter 'gama'; did you mean 'gamma'?",
    ]
    text = GOOD.replace("{recurrent: none}", "{recurrent: alle, hidden: 0}")
    text = text.replace("sweep:", "sweep:\n      layers: [0]")
    assert faults(write(text.replace("label: DNN", "label: Mixture {gamma} {layers}"))) == [
        "exp.yaml:10: hidden = 0 is refused; allowed: integer, 1 or more",
        "exp.yaml:12: layers = 0 is refused; allowed: integer, 1 or more",
        "exp.yaml:10: recurrent = 'alle' is refused; allowed: none, all; or integer",
    ]
    text = GOOD.replace("{recurrent: none}", "{seed: 1, gamma: 2, hiden: 3}")
    assert faults(write(text)) == [
        "exp.yaml:10: seeds are set by the key 'seeds'",
        "exp.yaml:10: drnn has no hyperparameter 'hiden'; did you mean 'hidden'?",
        "exp.yaml:12: 'gamma' is fixed and swept",
    ]
    twice = (
        "  - {method: mixture, label: Mixture}\n  - {method: rpca, label: RPCA, fixed: {k: -1}}\n"
    )
    assert faults(write(GOOD.replace("table:", f"{twice}table:"))) == [
        "exp.yaml:13: two rows are named 'Mixture'",
        "exp.yaml:14: k = -1 is refused; allowed: number, above 0",
    ]


@pytest.mark.parametrize("key", ["on", "null", "1"])
def test_a_key_that_yaml_takes_for_another_value_is_refused_with_its_line(write, key):
    assert faults(write(f"{GOOD}{key}: 3\n")) == [
        f"exp.yaml:15: not readable as YAML: key {key} is no text to YAML; write it in quotes"
    ]


def test_a_mistake_on_the_command_line_is_named_by_its_option(write):
    path = write(GOOD)
    assert faults(path, "methods[1].fixed.hidden=0") == [
        "-o methods[1].fixed.hidden=0: hidden = 0 is refused; allowed: integer, 1 or more"
    ]
    assert faults(path, "methods[1].fixed.hiden=1") == [
        "-o methods[1].fixed.hiden=1: drnn has no hyperparameter 'hiden'; did you mean 'hidden'?"
    ]
    assert faults(path, "methods[9].label=x") == [
        "-o methods[9].label=x: methods has 2 items, numbered from 0"
    ]
    assert faults(path, "methods[-1].fixed.hidden=0") == [
        "-o methods[-1].fixed.hidden=0: hidden = 0 is refused; allowed: integer, 1 or more"
    ]
    whole = "methods[1].fixed={recurrent: alle}"
    assert faults(path, whole) == [
        f"-o {whole}: recurrent = 'alle' is refused; allowed: none, all; or integer"
    ]
    assert faults(path, "dataset.x=1")[0].startswith("-o dataset.x=1: dataset = {'x': 1}: it sho")
    assert faults(path, "a..b=1")[0].startswith("-o a..b=1: unknown key 'a'")
    assert faults(path, "methods[1].fixed={on: 3}") == [
        "-o methods[1].fixed={on: 3}: key on is no text to YAML; write it in quotes"
    ]
    assert faults(path, "seeds=[0, a]")[0].startswith("-o seeds=[0, a]: seeds.1 = 'a'")
    two = "methods=[{method: mixture, label: A}]", "methods[0].sweep={}", "methods[1].label=B"
    assert faults(path, *two) == ["-o methods[1].label=B: methods has 1 items, numbered from 0"]
    assert faults(path, "dataset=none") == [
        "-o dataset=none: no dataset 'none'; known: dsd100, folder, ikala, mir1k, "
        "mir1k_held_out_singer, mir1k_held_out_songs, musdb18, musdb18_7s, musdb18hq, synthetic"
    ]
    misspelt = write(GOOD.replace("{recurrent: none}", "{recurent: none, hidden: 9}"))
    assert read_experiment(misspelt, ["methods[1].fixed={hidden: 8}"]).methods[1].fixed == {
        "hidden": 8
    }


def test_a_method_may_have_seeds_of_its_own_in_a_figure_too(write):
    own = GOOD.replace("label: DNN\n", "label: DNN\n    seeds: [3]\n")
    assert read_experiment(write(own + "figure: {}\n")).methods[1].seeds == [3]
