"""Attention flow: do attention rollout and its kin say which tokens the answer rests on?"""

from retinoscope.experiments.flow.records import FlowBlockRecord, FlowCutRecord, FlowRecord
from retinoscope.experiments.flow.settings import FlowSettings
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="flow",
    question="Is attention rollout evidence of extraction?",
    records={"flow": FlowRecord, "flow_cuts": FlowCutRecord, "flow_blocks": FlowBlockRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    settings=FlowSettings,
    place=11,
    next_token=True,
)
