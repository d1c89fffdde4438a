"""What each command of `lab` does, in order. Start reading here.

Each stage takes the value of the stage before; `lab.flow` has them, a file for each group of commands.
What needs neither lab nor run is in `lab.rulework`, which starts in a third of the time.
"""

from __future__ import annotations

from typing import Final

from lab.flow.atomic import (
    bake_endpoint,
    choose_tests,
    find_packages,
    list_tests,
)
from lab.flow.bench import measure_detect, measure_up
from lab.flow.case import close_case, open_case, report_case, tell_case
from lab.flow.context import Stage
from lab.flow.evidence import make_symbols, secure
from lab.flow.exports import bundle_run, export_run, read_bundled
from lab.flow.free import mark, report_watched, watch
from lab.flow.imports import bring_in, judge_import, look_at_files
from lab.flow.labs import (
    apply_plan,
    attack_walls,
    await_ready,
    bake_images,
    check_machine,
    follow_logs,
    hand_secrets,
    labs_to_remove,
    leave_out,
    lock_lab,
    named_lab,
    open_shell,
    plan_lab,
    plan_reset,
    prove_walls,
    prune_images,
    read_lab,
    read_logs,
    remove_labs,
    run_command,
    show_labs,
    show_nodes,
)
from lab.flow.learn import grade_handed, measure_coverage
from lab.flow.lessons import learn_records, learn_values, learn_windows
from lab.flow.loop import compare_runs, explain_run, rescore, show_history
from lab.flow.machine import engine_for_demo, examine_machine
from lab.flow.models import find_model, forget_model, list_models, switch_model
from lab.flow.packets import check_suricata
from lab.flow.play import (
    clean_run,
    find_unfinished,
    hold_lab,
    hold_unfinished,
    lint_scenario,
    list_exercises,
    open_run,
    play_and_watch,
    read_exercise,
    reopen_run,
    reset_dirty,
    restart_sensors,
)
from lab.flow.quiet import measure_quiet, play_quiet_days
from lab.flow.respond import follow, hand_in_plan, respond, take_back
from lab.flow.rules import remember_suricata
from lab.flow.runs import (
    ask_run,
    find_recording,
    find_run,
    list_questions,
    record_run,
    replay_run,
    score_run,
    write_report,
)
from lab.flow.schemas import write_schema
from lab.flow.screen import serve_pages
from lab.flow.siem import detect_there, export, push_run, reach_siem, serve_siem, set_up, show_onion
from lab.flow.trial import find_resumed, gather_outcomes, run_tests

Stages = tuple[Stage, ...]

PLAN: Final[Stages] = (
    read_lab,  # name        -> Lab
    leave_out,  # Lab         -> Lab
    plan_lab,  # Lab         -> Planned
)

UP: Final[Stages] = (
    read_lab,  # name        -> Lab
    lock_lab,  # Lab         -> Lab
    leave_out,  # Lab         -> Lab
    plan_lab,  # Lab         -> Planned
    check_machine,  # Planned     -> Planned, or every reason why not
    bake_images,  # Planned     -> Planned
    apply_plan,  # Planned     -> Standing
    hand_secrets,  # Standing    -> Standing
    await_ready,  # Standing    -> Standing
    prove_walls,  # Standing    -> Proof
)

RESET: Final[Stages] = (
    plan_reset,  # names       -> Planned
    bake_images,  # Planned     -> Planned
    apply_plan,  # Planned     -> Standing
    hand_secrets,  # Standing    -> Standing
    await_ready,  # Standing    -> Standing
    prove_walls,  # Standing    -> Proof
)

VERIFY: Final[Stages] = (
    named_lab,  # name        -> name
    attack_walls,  # name        -> Proof
)

DOWN: Final[Stages] = (
    labs_to_remove,  # Removal     -> names
    remove_labs,  # names       -> Receipt, ...
)

_JUDGE: Final[Stages] = (
    score_run,  # RunFolder   -> Scored
    write_report,  # Scored      -> Scored
)

RUN: Final[Stages] = (
    read_exercise,  # Order       -> Prepared
    hold_lab,  # Prepared    -> Prepared
    restart_sensors,  # Prepared    -> Prepared
    open_run,  # Prepared    -> Opened
    play_and_watch,  # Opened      -> Played
    reset_dirty,  # Played      -> RunFolder
    *_JUDGE,
)

RESUME: Final[Stages] = (
    find_unfinished,  # name        -> Opened
    hold_unfinished,  # Opened      -> Opened
    reopen_run,  # Opened      -> Opened
    play_and_watch,  # Opened      -> Played
    reset_dirty,  # Played      -> RunFolder
    *_JUDGE,
)

CLEAN: Final[Stages] = (
    find_unfinished,  # name        -> Opened
    hold_unfinished,  # Opened      -> Opened
    clean_run,  # Opened      -> Played
    reset_dirty,  # Played      -> RunFolder
    *_JUDGE,
)

ATOMIC_LIST: Final[Stages] = (
    choose_tests,  # Choice      -> Chosen
    list_tests,  # Chosen      -> Listed, ...
)

ATOMIC_PREPARE: Final[Stages] = (
    choose_tests,  # Choice      -> Chosen
    find_packages,  # Chosen      -> Prepared
    bake_endpoint,  # Prepared    -> Prepared
)

ATOMIC_RUN: Final[Stages] = (
    find_resumed,  # Choice      -> Choice
    *ATOMIC_PREPARE,
    run_tests,  # Prepared    -> TestsRun
    gather_outcomes,  # TestsRun    -> Outcomes
)

EXERCISES: Final[Stages] = (
    list_exercises,  # nothing     -> Exercise, ...
)

LEARN_VALUES: Final[Stages] = (
    learn_values,  # ValueLesson -> Learnt
)

LEARN_RECORDS: Final[Stages] = (
    learn_records,  # RecordLesson -> Learnt
)

LEARN_WINDOWS: Final[Stages] = (
    learn_windows,  # WindowLesson -> Learnt
)

LIST_MODELS: Final[Stages] = (
    list_models,  # nothing     -> Kept, ...
)

FIND_MODEL: Final[Stages] = (
    find_model,  # name        -> Kept
)

SWITCH_MODEL: Final[Stages] = (
    switch_model,  # Switch      -> Kept
)

FORGET_MODEL: Final[Stages] = (
    forget_model,  # name        -> Path
)

SERVE: Final[Stages] = (
    serve_pages,  # Serving     -> nothing, once the user has seen enough
)

GRADE: Final[Stages] = (
    grade_handed,  # Handed      -> Grade, or Graded
)

COVERAGE: Final[Stages] = (
    measure_coverage,  # nothing     -> Coverage
)

LINT: Final[Stages] = (
    lint_scenario,  # Draft       -> Scenario
)

SIEM_SETUP: Final[Stages] = (
    set_up,  # Choice      -> SetUp
)

SIEM_PUSH: Final[Stages] = (
    reach_siem,  # Choice      -> Reached
    push_run,  # Reached     -> Delivery
)

SIEM_ONION: Final[Stages] = (
    show_onion,  # Adoption    -> Shown
)

SIEM_OPEN: Final[Stages] = (
    serve_siem,  # Opening     -> nothing, once it is stopped
)

SIEM_DETECT: Final[Stages] = (
    reach_siem,  # Choice      -> Reached
    detect_there,  # Reached     -> Comparison
)

SIEM_EXPORT: Final[Stages] = (
    export,  # Export      -> path
)

CASE_OPEN: Final[Stages] = (
    open_case,  # Opening     -> Told
)

CASE_TELL: Final[Stages] = (
    tell_case,  # Telling     -> Told
)

CASE_CLOSE: Final[Stages] = (
    close_case,  # Telling     -> Told
)

CASE_REPORT: Final[Stages] = (
    report_case,  # name        -> text
)

EVIDENCE: Final[Stages] = (
    secure,  # Securing    -> Secured
)

SYMBOLS: Final[Stages] = (
    make_symbols,  # nothing -> Symbols
)

HAND_IN: Final[Stages] = (
    hand_in_plan,  # Following   -> Response
)

FOLLOW: Final[Stages] = (
    follow,  # Following   -> Followed
)

RESPOND: Final[Stages] = (
    respond,  # Answering   -> Response
)

TAKE_BACK: Final[Stages] = (
    take_back,  # TakingBack  -> Response
)

WATCH: Final[Stages] = (
    watch,  # Watching    -> Watched
    report_watched,  # Watched     -> Watched
)

ADD_SURICATA: Final[Stages] = (
    check_suricata,  # path        -> path, or every problem of the rules
    remember_suricata,  # path        -> path
)

MARK: Final[Stages] = (
    mark,  # text        -> Mark
)

IMPORT: Final[Stages] = (
    look_at_files,  # Import      -> Bringing
    bring_in,  # Bringing    -> Brought
    judge_import,  # Brought     -> Brought
)

REPLAY: Final[Stages] = (
    find_recording,  # name        -> RunFolder
    replay_run,  # RunFolder   -> RunFolder
    *_JUDGE,
)

SCORE: Final[Stages] = (
    find_run,  # name        -> RunFolder
    *_JUDGE,
)

QUIET: Final[Stages] = (
    play_quiet_days,  # Silence     -> Silence
    measure_quiet,  # Silence     -> Quiet
)

EXPORT: Final[Stages] = (
    export_run,  # Export      -> path
)

BUNDLE: Final[Stages] = (
    bundle_run,  # Bundling    -> Manifest
)

UNBUNDLE: Final[Stages] = (
    read_bundled,  # path        -> Unbundled
)

RESCORE: Final[Stages] = (
    rescore,  # Rescoring   -> Rescored
)

WHY: Final[Stages] = (
    explain_run,  # Asking      -> Reasons
)

COMPARE: Final[Stages] = (
    compare_runs,  # ids         -> Contrast, ...
)

HISTORY: Final[Stages] = (
    show_history,  # Past        -> Taken, ...
)

RECORD: Final[Stages] = (
    record_run,  # Recording   -> RunFolder
)

ASK: Final[Stages] = (
    ask_run,  # Question    -> Answered
)

QUESTIONS: Final[Stages] = (
    list_questions,  # nothing     -> SavedQuestion, ...
)

LABS: Final[Stages] = (
    show_labs,  # nothing     -> LabStatus, ...
)

STATUS: Final[Stages] = (
    show_nodes,  # name        -> NodeStatus, ...
)

LOGS: Final[Stages] = (
    read_logs,  # LogChoice   -> LogTail, ...
)

FOLLOW_LOGS: Final[Stages] = (
    follow_logs,  # LogChoice   -> line, line, ...
)

EXEC: Final[Stages] = (
    run_command,  # NodeCommand -> exit code
)

SHELL: Final[Stages] = (
    open_shell,  # name        -> exit code
)

PRUNE: Final[Stages] = (
    prune_images,  # Pruning     -> OldImage, ...
)

DOCTOR: Final[Stages] = (
    examine_machine,  # Examination -> Requirement, ...
)

PREPARE_DEMO: Final[Stages] = (
    engine_for_demo,  # Engagement  -> whether one answers
)

SCHEMA: Final[Stages] = (
    write_schema,  # name        -> JSON Schema
)

BENCH_UP: Final[Stages] = (
    measure_up,  # Measurement -> Contest
)

BENCH_DETECT: Final[Stages] = (
    measure_detect,  # RaceOrder   -> Race
)
