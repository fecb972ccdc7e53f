"""Every family of generators, every segmenter, predictor and basis fits its protocol.

Nothing here runs: the type checker reads it in ``make test`` and flags a member that is missing or of
another type than the protocol has. ``tests/test_types.py`` sees to it that no class is left out.
"""

from typing import Any

from dissect.bases.base import Basis, Channels
from dissect.bases.pca import PrincipalComponents
from dissect.bases.rotation import Rotation
from dissect.bases.sae import SparseAutoencoder
from dissect.generators.base import Generator
from dissect.generators.biggan import BigGAN
from dissect.generators.dalle import DalleGenerator
from dissect.generators.dcgan import DCGAN
from dissect.generators.diffusers_pipelines import TextToImageGenerator
from dissect.generators.diffusers_unets import DiffusionGenerator
from dissect.generators.eigengan import EigenGAN
from dissect.generators.given_latents import GivenLatents
from dissect.generators.image_networks import ImageNetwork
from dissect.generators.lightweight_gan import LightweightGAN
from dissect.generators.mapping import MappedGenerator
from dissect.generators.onnx_programs import OnnxGenerator
from dissect.generators.pggan import PGGAN
from dissect.generators.r3gan import R3GAN
from dissect.generators.styled import HasStyles, StyledGenerator
from dissect.generators.stylegan2 import StyleGAN2
from dissect.generators.stylegan3 import StyleGAN3
from dissect.generators.wrapping import WrappedGenerator
from dissect.generators.z_only import ZOnlyGenerator
from dissect.worlds.planted import PlantedGenerator
from segmenters.autocast import Autocast
from segmenters.base import Predictor, Segmenter
from segmenters.colour import ColourSegmenter
from segmenters.faces import FacesSegmenter
from segmenters.features import HasFeatures
from segmenters.joined import JoinedSegmenter
from segmenters.network_segmenter import NetworkSegmenter
from segmenters.predictors.areas import AreaPredictor
from segmenters.predictors.faces_attributes import FacesAttributes
from segmenters.predictors.function import FunctionPredictor
from segmenters.predictors.identity import Identity
from segmenters.predictors.program import ProgramPredictor
from segmenters.quadrants import Quadrants
from segmenters.scenes import ScenesPredictor, ScenesSegmenter

AnyGenerator = (
    ZOnlyGenerator[Any]
    | BigGAN
    | DCGAN
    | DalleGenerator
    | DiffusionGenerator
    | EigenGAN
    | GivenLatents
    | ImageNetwork
    | LightweightGAN
    | OnnxGenerator
    | PGGAN
    | PlantedGenerator
    | R3GAN
    | WrappedGenerator
    | StyledGenerator
    | TextToImageGenerator
    | MappedGenerator
    | StyleGAN2
    | StyleGAN3
)
AnySegmenter = (
    Autocast
    | ColourSegmenter
    | FacesSegmenter
    | JoinedSegmenter
    | NetworkSegmenter
    | Quadrants
    | ScenesSegmenter
)


AnyPredictor = (
    AreaPredictor
    | FacesAttributes
    | FunctionPredictor
    | Identity
    | ProgramPredictor
    | ScenesPredictor
)


def generator(one: AnyGenerator) -> Generator:
    return one


def styled(one: StyledGenerator) -> HasStyles:
    return one


def segmenter(one: AnySegmenter) -> Segmenter:
    return one


def predictor(one: AnyPredictor) -> Predictor:
    return one


def features(one: FacesSegmenter | ScenesSegmenter) -> HasFeatures:
    return one


def basis(one: Channels | PrincipalComponents | Rotation | SparseAutoencoder) -> Basis:
    return one
