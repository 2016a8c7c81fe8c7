"""The models, by name. Each keeps the contract in `offline.models.contract`; none of them needs Spark."""

from offline.models.blend import Blend, BlendSettings
from offline.models.contract import Checkpoint, Members, Model, Pass, Progress, Settings
from offline.models.ease import EASE, EASESettings
from offline.models.graph_filter import Graph, GraphSettings
from offline.models.ials import IALS, IALSSettings
from offline.models.popularity import Popularity, PopularitySettings
from offline.models.registry import REGISTRY, create_model, load_model, register
from offline.models.sequence import SequenceModel, SequenceSettings
from offline.models.topk import TopK, top_k

__all__ = [
    "EASE",
    "IALS",
    "REGISTRY",
    "Blend",
    "BlendSettings",
    "Checkpoint",
    "EASESettings",
    "Graph",
    "GraphSettings",
    "IALSSettings",
    "Members",
    "Model",
    "Pass",
    "Popularity",
    "PopularitySettings",
    "Progress",
    "SequenceModel",
    "SequenceSettings",
    "Settings",
    "TopK",
    "create_model",
    "load_model",
    "top_k",
]

register(Blend, EASE, Graph, IALS, Popularity, SequenceModel)
