"""Published figures to set a report beside, each with the place it was read from.

They were measured by their authors, with networks trained on other data and for the most part with other robot users:
they say where the field is, not that one method beats another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PAPER = "Forte et al. 2020, arXiv:2003.07932"
RITM = "README of github.com/SamsungLabs/ritm_interactive_segmentation (Sofiiuk et al., arXiv:2102.06583)"
CLICKSEG = "README of github.com/alibaba/ClickSEG (Chen et al., CVPR 2022)"
MFP = "Table 3 of Lee et al., CVPR 2024, arXiv:2404.18448"
FOCSAM = "Table 1 of Huang et al., CVPR 2024, arXiv:2405.18706"


@dataclass(frozen=True)
class Reference:
    """One published method.

    Attributes:
        method: Its name and variant.
        source: Where the figures stand.
        noc: By data set and per cent of IoU, the mean number of clicks.
        auc: By data set, the mean of the mean IoU over clicks 1 to 20.
        trained: On what, where the source says so for this row.
    """

    method: str
    source: str
    noc: Mapping[str, Mapping[int, float]]
    auc: Mapping[str, float] = field(default_factory=dict)
    trained: str = ""


def _table6(method: str, grabcut: float, berkeley: float | None = None, sbd: float | None = None) -> Reference:
    noc = {"grabcut": {90: grabcut}}
    if berkeley is not None:
        noc["berkeley"] = {90: berkeley}
    if sbd is not None:
        noc["sbd"] = {85: sbd}
    return Reference(method, f"Table 6 of {PAPER}", noc)


REFERENCES = (
    _table6("IFCN", 6.04, 8.65, 9.18),
    _table6("RIS-Net", 5.00, 6.03),
    _table6("ITIS", 5.60),
    _table6("DEXTR", 4.00),
    _table6("VOS-wild", 3.8),
    _table6("FCTSFN", 3.76, 6.49),
    _table6("IIS-LD", 4.79, sbd=7.41),
    _table6("CAMLG-IIS", 3.58, 5.60),
    _table6("BRS", 3.6, 5.08, 6.59),
    Reference(
        "Forte et al.",
        f"Tables 6 and 7 of {PAPER}",
        {"grabcut": {90: 2.54}, "berkeley": {90: 3.53}, "sbd": {85: 3.90}},
        {"grabcut": 0.9628, "berkeley": 0.9423, "sbd": 0.9026},
        trained="SBD",
    ),
    Reference(
        "Forte et al., with synthetic data",
        f"Table 8 of {PAPER}",
        {"grabcut": {90: 1.8}, "berkeley": {90: 3.04}},
        {"grabcut": 0.974, "berkeley": 0.949},
        trained="synthetic, then SBD",
    ),
    Reference(
        "RITM HRNet18",
        RITM,
        {
            "grabcut": {85: 1.76, 90: 2.04},
            "berkeley": {90: 3.22},
            "sbd": {85: 3.39, 90: 5.43},
            "davis": {85: 4.94, 90: 6.71},
        },
        trained="SBD",
    ),
    Reference(
        "RITM HRNet18",
        RITM,
        {
            "grabcut": {85: 1.42, 90: 1.54},
            "berkeley": {90: 2.26},
            "sbd": {85: 3.80, 90: 6.06},
            "davis": {85: 4.36, 90: 5.74},
        },
        trained="COCO + LVIS",
    ),
    Reference(
        "FocalClick SegFormer-B0-S2",
        CLICKSEG,
        {
            "grabcut": {85: 1.40, 90: 1.66},
            "berkeley": {85: 1.59, 90: 2.27},
            "sbd": {85: 4.56, 90: 6.86},
            "davis": {85: 4.04, 90: 5.49},
        },
        trained="COCO + LVIS",
    ),
    Reference(
        "FocalClick SegFormer-B3-S2",
        CLICKSEG,
        {
            "grabcut": {85: 1.44, 90: 1.50},
            "berkeley": {85: 1.55, 90: 1.92},
            "sbd": {85: 3.53, 90: 5.59},
            "davis": {85: 3.61, 90: 4.90},
        },
        trained="COCO + LVIS",
    ),
    Reference(
        "SimpleClick ViT-B",
        MFP,
        {
            "grabcut": {85: 1.38, 90: 1.48, 95: 1.80},
            "berkeley": {85: 1.36, 90: 1.97, 95: 5.05},
            "sbd": {85: 3.43, 90: 5.62, 95: 11.92},
            "davis": {85: 3.66, 90: 5.06, 95: 10.04},
        },
        trained="COCO + LVIS",
    ),
    Reference(
        "SimpleClick ViT-H",
        FOCSAM,
        {"grabcut": {90: 1.50}, "berkeley": {90: 1.75}, "sbd": {90: 4.70}, "davis": {90: 4.78}},
        trained="COCO + LVIS",
    ),
)


def references(dataset: str) -> list[Reference]:
    """Those with a figure for a data set, in the order above."""
    return [row for row in REFERENCES if dataset in row.noc]
