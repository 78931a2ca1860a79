"""Fidelities: their ladder, the study file's table, and a study that spends by them. Trainings are a formula."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.errors import InputError, StoreError
from codesign.estimate import Evidence
from codesign.network.tasks.registry import task_record
from codesign.report.collect import collect
from codesign.report.document import ReportDocument
from codesign.report.markdown import render_markdown
from codesign.report.tables import provenance_rows
from codesign.search.builtin import study_text
from codesign.search.evaluation import TrainingRequest
from codesign.search.fidelity import FULL, SHORT, Fidelity, FidelityChoice, Ladder, Trials, chooses_fidelity, shortened, trial_seed, tuned
from codesign.search.specification import StudySpecification, TrainingOverrides, load_specification
from codesign.search.study import Evaluated, Study
from codesign.space.design_space import evaluation_seed
from codesign.store.study_store import DONE, FAILED, StudyStore
from tests.search.evidence_study import SPECIFICATION as PLAIN
from tests.search.fidelity_study import SPECIFICATION, Trainings, begin, outcome

DIGITS = task_record("digits").training


def test_a_short_training_costs_its_share_of_the_epochs() -> None:
    ladder = Ladder.of(FidelityChoice(short_share=0.2), DIGITS)
    assert (DIGITS.epochs, DIGITS.quantised_epochs) == (20, 10)
    assert shortened(DIGITS, 0.2) == {"epochs": 4, "quantised_epochs": 2}
    assert [(fidelity.name, fidelity.cost, fidelity.replicates) for fidelity in ladder.fidelities] == [("short", 0.2, 1), ("full", 1.0, 3)]
    assert ladder.cost(np.array([0, 0, 1])) == pytest.approx(1.4)


def test_levels_left_out_are_not_on_the_ladder() -> None:
    assert [fidelity.name for fidelity in Ladder.of(FidelityChoice(levels=("full", "seeds"), max_seeds=5), DIGITS).fidelities] == ["full"]
    assert Ladder.of(FidelityChoice(levels=("full", "seeds"), max_seeds=5), DIGITS).fidelities[0].replicates == 5
    assert Ladder.of(FidelityChoice(levels=("short", "full")), DIGITS).fidelities[1].replicates == 1


def test_a_phase_that_the_full_training_lacks_stays_away_and_no_other_vanishes() -> None:
    assert shortened(replace(DIGITS, quantised_epochs=0), 0.1) == {"epochs": 2, "quantised_epochs": 0}
    assert shortened(replace(DIGITS, quantised_epochs=3), 0.1) == {"epochs": 2, "quantised_epochs": 1}


@pytest.mark.parametrize("costs", [(), (0.5,), (0.5, 0.4, 1.0), (0.0, 1.0), (1.0, 1.0)])
def test_costs_rise_to_one(costs: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="Give rising costs that end at 1"):
        Ladder(tuple(Fidelity(f"level{number}", cost, Evidence.TRAINED) for number, cost in enumerate(costs)))


def test_the_first_full_training_has_the_seed_of_a_study_without_fidelities() -> None:
    assert trial_seed(7, "abc", FULL, 0) == evaluation_seed(7, "abc")
    seeds = {trial_seed(7, "abc", fidelity, replicate) for fidelity in (FULL, SHORT) for replicate in (0, 1, 2)}
    assert len(seeds) == 6


def test_strategies_say_whether_they_choose_fidelities() -> None:
    assert chooses_fidelity("ehvi_fidelity")
    assert not chooses_fidelity("random")


def study_file(folder: Path, table: str, *, strategy: str = "ehvi_fidelity", training: str = "") -> Path:
    text = study_text("digits", "pynq-z2", ("pe_array",)).replace('name = "ehvi"', f'name = "{strategy}"').replace("[training]", f"[training]\n{training}")
    path = folder / "study.toml"
    path.write_text(f"{text}\n{table}\n")
    return path


def test_a_study_file_names_its_fidelities(tmp_path: Path) -> None:
    specification = load_specification(study_file(tmp_path, '[fidelity]\nlevels = ["short", "full"]\nshort_share = 0.3\nmax_seeds = 2'))
    assert specification.fidelity == FidelityChoice(levels=("short", "full"), short_share=0.3, max_seeds=2)
    assert load_specification(study_file(tmp_path, "[fidelity]")).fidelity == FidelityChoice()
    assert StudySpecification.from_dict(specification.as_dict(), where="x") == specification


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('levels = ["short", "half", "full"]', r"study.toml: fidelity: unknown level 'half'; choose from supernet, short, full, seeds"),
        ('levels = ["short", "seeds"]', "fidelity: levels must name full, and none twice"),
        ('levels = ["full", "full"]', "fidelity: levels must name full, and none twice"),
        ('levels = "full"', r"fidelity.levels: .*tuple|array"),
        ("short_share = 0.95", "fidelity: short_share must lie between 0.01 and 0.9"),
        ("short_share = 0.0", "fidelity: short_share must lie between 0.01 and 0.9"),
        ("score_share = 0.0", "fidelity: score_share must lie between 0.01 and 0.9"),
        ("supernet_cost = 0.0", "fidelity: supernet_cost must lie between 0.1 and 10000"),
        ("max_seeds = 1", "fidelity: max_seeds must lie between 2 and 100"),
        ("seeds = 3", "fidelity.seeds: unknown key"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_specification(study_file(tmp_path, f"[fidelity]\n{table}"))
    assert caught.value.exit_code == 2


def test_a_strategy_without_fidelities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"strategy.name: strategy 'random' proposes full trainings only\. Choose .*ehvi_fidelity.*, or take \[fidelity\] away"
    ):
        load_specification(study_file(tmp_path, "[fidelity]", strategy="random"))


def test_a_short_training_that_saves_nothing_is_refused(tmp_path: Path) -> None:
    path = study_file(tmp_path, "[fidelity]", training="epochs = 1\nquantised_epochs = 1")
    with pytest.raises(InputError, match=r"fidelity.short_share: a share of 0.25 of 1 \+ 1 epochs saves none"):
        load_specification(path)


def test_shared_weights_are_paid_before_the_first_score(tmp_path: Path) -> None:
    choice = FidelityChoice(levels=("supernet", "short", "full"), supernet_cost=4.0, score_share=0.1)
    ladder = Ladder.of(choice, DIGITS, families=2)
    assert [(fidelity.name, fidelity.cost, fidelity.evidence) for fidelity in ladder.fidelities] == [
        ("supernet", 0.1, Evidence.SUPERNET),
        ("short", pytest.approx(7 / 30), Evidence.TRAINED),
        ("full", 1.0, Evidence.TRAINED),
    ]
    assert ladder.preparation == 8.0
    assert tuned(DIGITS, 0.1) == {"epochs": 0, "quantised_epochs": 3}
    path = study_file(tmp_path, '[fidelity]\nlevels = ["supernet", "full"]\nsupernet_cost = 70')
    with pytest.raises(InputError, match=r"fidelity.supernet_cost: shared weights .* leave 0.0 of a budget of 24 .*\. Raise budget.evaluations"):
        load_specification(path)


def test_a_score_that_saves_nothing_over_a_short_training_is_refused(tmp_path: Path) -> None:
    path = study_file(tmp_path, '[fidelity]\nlevels = ["supernet", "short", "full"]\nscore_share = 0.3')
    with pytest.raises(InputError, match=r"fidelity.score_share: a share of 0.3 of 20 \+ 10 epochs saves none over short. .*leave supernet off the levels"):
        load_specification(path)


def test_without_the_table_the_study_is_what_it_was() -> None:
    """The hash of this specification as the version before fidelities gave it."""
    assert "fidelity" not in PLAIN.as_dict()
    assert PLAIN.hash == "d66e44091d0335b6"
    assert replace(PLAIN, fidelity=FidelityChoice()).hash != PLAIN.hash
    assert replace(SPECIFICATION, training=TrainingOverrides(epochs=10)).training_settings() == replace(DIGITS, epochs=10)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Trainings]:
    study, engine = begin(tmp_path_factory.mktemp("searched")), Trainings()
    study.search(engine)
    return study, engine


def test_the_budget_is_spent_and_not_passed(searched: tuple[Study, Trainings]) -> None:
    study, engine = searched
    counts = study.fidelity_counts()
    assert [count.name for count in counts] == ["short", "full", "seeds"]
    spent = sum(count.cost for count in counts)
    assert 11.0 < spent <= 12.0
    assert sum(count.done for count in counts) == len(engine.requests) == len(study.store.trials())
    assert counts[0].cost == pytest.approx(counts[0].done * 7 / 30)
    assert sum(count.seconds for count in counts) == 2.0 * len(engine.requests)


def test_each_trial_is_trained_as_its_fidelity_says(searched: tuple[Study, Trainings]) -> None:
    study, engine = searched
    by_seed = {request.seed: request for request in engine.requests}
    assert len(by_seed) == len(engine.requests)
    for trial in study.store.trials():
        request = by_seed[trial_seed(study.specification.seed, *trial.key)]
        assert request.settings == ({"epochs": 5, "quantised_epochs": 2} if trial.fidelity == SHORT else {})
        first = trial.fidelity == FULL and trial.replicate == 0
        assert request.folder == (str(study.model_folder(trial.design)) if first else None)


def test_only_full_trainings_enter_the_front(searched: tuple[Study, Trainings]) -> None:
    study, _ = searched
    full = {trial.design for trial in study.store.trials() if trial.fidelity == FULL}
    brief = {item.id for item in study.briefly_evaluated()}
    assert {item.id for item in study.evaluated()} == full
    assert brief == {design.point.id for design in study.store.designs()} - full
    assert brief
    assert {item.id for item in study.front()} <= full
    assert study.counts() == (len(full), 0)


def test_a_briefly_trained_design_is_shown_and_not_exported(searched: tuple[Study, Trainings]) -> None:
    study, _ = searched
    item = study.briefly_evaluated()[0]
    assert study.find(item.id, brief=True) == item
    assert study.figures(item)["accuracy"].source.startswith("validation split, short")
    with pytest.raises(InputError, match="was trained briefly only, and has no network"):
        study.find(item.id)


@pytest.mark.parametrize("stops", [(0,), (3, 9), (1, 8, 14)])
def test_stopped_and_continued_nothing_is_lost_and_nothing_done_twice(tmp_path: Path, searched: tuple[Study, Trainings], stops: tuple[int, ...]) -> None:
    study, seeds, done = begin(tmp_path), [], 0
    for stop in stops:
        engine = Trainings(stop_after=stop - done)
        with pytest.raises(KeyboardInterrupt):
            study.search(engine)
        seeds += [request.seed for request in engine.requests]
        done = stop
        study.store.close()
        study = Study.open(tmp_path / "study")
    engine = Trainings()
    study.search(engine)
    seeds += [request.seed for request in engine.requests]
    assert outcome(study) == outcome(searched[0])
    assert len(set(seeds)) == len(seeds)
    # The training that was under way when it was stopped began twice, and ended once.
    assert max(row.starts for row in study.store.all_evaluations().values()) == 2


def test_the_order_in_which_trainings_end_does_not_matter(tmp_path: Path, searched: tuple[Study, Trainings]) -> None:
    study = begin(tmp_path)
    study.search(Trainings(backwards=True))
    assert outcome(study) == outcome(searched[0])


def test_a_longer_budget_goes_on_from_where_it_ended(tmp_path: Path) -> None:
    study = begin(tmp_path, budget=replace(SPECIFICATION.budget, evaluations=10))
    study.search(Trainings())
    before = outcome(study)
    longer = Study.create(SPECIFICATION, tmp_path / "study")
    engine = Trainings()
    longer.search(engine)
    after = outcome(longer)
    assert before.items() <= after.items()
    assert len(engine.requests) == len(after) - len(before) > 0


def test_a_failed_short_training_ends_a_design_and_can_be_tried_again(tmp_path: Path) -> None:
    study = begin(tmp_path, budget=replace(SPECIFICATION.budget, evaluations=12, failures=1.0))

    def fails(request: TrainingRequest) -> bool:
        return "epochs" in request.settings and request.seed % 3 == 0

    study.search(Trainings(fails=fails))
    rows = study.store.all_evaluations()
    failed = {key[0] for key, row in rows.items() if row.state == FAILED}
    assert failed
    anchors = {trial.design for trial in study.store.trials() if trial.fidelity == FULL and trial.batch < 2}
    assert not {trial.design for trial in study.store.trials() if trial.fidelity == FULL} & (failed - anchors)
    assert study.fidelity_counts()[0].failed == len(failed)
    assert study.store.forget_failures() == len(failed)
    study.search(Trainings())
    assert all(row.state == DONE for row in study.store.all_evaluations().values())


def with_repeats(study: Study, item: Evaluated, accuracies: list[float]) -> Evaluated:
    """The design after further full trainings."""
    for replicate, accuracy in enumerate(accuracies, start=1):
        study.store.start(item.id, 1, replicate)
        study.store.finish(item.id, {"accuracy": accuracy}, replicate)
    return study.find(item.id)


def test_the_front_takes_the_mean_over_seeds(tmp_path: Path) -> None:
    study = begin(tmp_path, fidelity=FidelityChoice(levels=("short", "full")), budget=replace(SPECIFICATION.budget, evaluations=10))
    study.search(Trainings())
    best = study.front()[0]
    first = best.evaluation.metrics["accuracy"]
    assert best.accuracy == first
    again = with_repeats(study, best, [0.5, 0.6])
    assert again.accuracy == pytest.approx((first + 1.1) / 3)
    assert study.values_of(again)[0] == again.accuracy
    assert study.values_of(again)[1:] == study.values_of(best)[1:]
    figure = study.figures(again)["accuracy"]
    assert (figure.value, figure.source) == (again.accuracy, "validation split, mean of 3 seeds, 249 samples")
    accuracies = [item.accuracy for item in study.front()]
    assert accuracies == sorted(accuracies, reverse=True)
    assert study.front()[0].id != best.id


def test_a_store_from_before_fidelities_opens_and_has_none(tmp_path: Path) -> None:
    study = begin(tmp_path, fidelity=None)
    study.search(Trainings())
    study.store.close()
    with sqlite3.connect(tmp_path / "study" / "study.sqlite") as connection:
        connection.execute("DROP TABLE trials")
        connection.execute("DROP TABLE reduced_evaluations")
    connection.close()
    opened = Study.open(tmp_path / "study")
    assert (opened.store.trials(), opened.fidelity_counts(), opened.briefly_evaluated()) == ([], (), [])
    assert opened.counts() == (12, 0)
    assert opened.store.forget_failures() == 0
    engine = Trainings()
    Study.create(replace(SPECIFICATION, fidelity=None), tmp_path / "study").search(engine)
    assert not engine.requests


@pytest.mark.parametrize(("metrics", "message"), [("{}", "no accuracy"), (json.dumps({"accuracy": 2}), "accuracy = 2 is not a share of 1")])
def test_a_damaged_short_training_is_told(tmp_path: Path, metrics: str, message: str) -> None:
    study = begin(tmp_path, budget=replace(SPECIFICATION.budget, evaluations=10))
    with pytest.raises(KeyboardInterrupt):
        study.search(Trainings(stop_after=2))
    study.store.close()
    with sqlite3.connect(tmp_path / "study" / "study.sqlite") as connection:
        connection.execute("UPDATE reduced_evaluations SET metrics = ? WHERE state = 'done'", (metrics,))
    connection.close()
    with pytest.raises(StoreError, match=f"row reduced_evaluations .* short is damaged: {message}"):
        StudyStore.at(tmp_path / "study" / "study.sqlite").all_evaluations()


def test_trials_join_and_keep_their_order() -> None:
    rows: Any = np.arange(6, dtype=np.int16).reshape(3, 2)
    first, second = Trials.once(rows[:2], 0), Trials(rows[2:], np.array([1]), np.array([2]))
    joined = Trials.join([first, second])
    assert joined.level.tolist() == [0, 0, 1]
    assert joined.replicate.tolist() == [0, 0, 2]
    np.testing.assert_array_equal(joined.rows(np.array([2])).indices, rows[2:])


def test_the_report_says_what_went_into_each_fidelity(searched: tuple[Study, Trainings]) -> None:
    document = collect(searched[0])
    short, full, seeds = document.counts.fidelities
    assert (short.name, full.name, seeds.name) == ("short", "full", "seeds")
    assert full.done == len(document.evaluated)
    rows = dict(provenance_rows(document))
    assert rows["Fidelities"][0].startswith(f"short: {short.done} evaluations, worth {short.cost:.1f} full trainings")
    assert f"- Fidelities: short: {short.done} evaluations" in render_markdown(document)
    assert ReportDocument.from_dict(document.as_dict(), where="x") == document
