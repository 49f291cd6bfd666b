"""Rules for what a model is made of and how it is regularised: dropout, activation, norms, width, depth, labels."""

from __future__ import annotations

from neuropt_core.advisors.rules_base import Rule

_UNDERFITS = "Too much of it underfits, above all on a small model or in a short training."
_SRIVASTAVA = "Srivastava et al. 2014, JMLR 15"

_DROPOUT = (
    Rule(
        role="dropout dropout_mlp",
        low=0.0,
        mode=0.1,
        high=0.3,
        when="attention",
        holds=lambda s: s.attention,
        risk=_UNDERFITS,
        why="The base Transformer drops 0.1.",
        source="Vaswani et al. 2017, arXiv:1706.03762, section 5.4",
    ),
    Rule(
        role="dropout dropout_mlp",
        low=0.0,
        mode=0.2,
        high=0.5,
        risk=_UNDERFITS,
        why="0.5 for wide hidden layers, 0.2 for inputs; beside BatchNorm less.",
        source=f"{_SRIVASTAVA} (its practical guide); Ioffe and Szegedy 2015, arXiv:1502.03167, section 4.2.1",
    ),
    Rule(
        role="dropout_head",
        low=0.0,
        mode=0.2,
        high=0.5,
        risk=_UNDERFITS,
        why="EfficientNet drops 0.2 to 0.5 in front of its classifier.",
        source="Tan and Le 2019, arXiv:1905.11946, section 5.2",
    ),
    Rule(
        role="dropout_attention dropout_embedding mha_dropout",
        low=0.0,
        mode=0.1,
        high=0.2,
        risk=_UNDERFITS,
        why="The base Transformer drops 0.1 of the embeddings, BERT 0.1 in all layers.",
        source="Vaswani et al. 2017, arXiv:1706.03762, section 5.4; Devlin et al. 2019, arXiv:1810.04805, appendix",
    ),
    Rule(
        role="drop_path",
        low=0.0,
        mode=0.1,
        high=0.3,
        risk="Higher rates are for large models and long trainings.",
        why="0.1 for DeiT and the smallest ConvNeXt, 0.2 for the smallest Swin; larger ones take more.",
        source="Huang et al. 2016, arXiv:1603.09382; Touvron et al. 2021, arXiv:2012.12877, table 9; "
        "Liu et al. 2021 (Swin), arXiv:2103.14030; facebookresearch/ConvNeXt, TRAINING.md",
    ),
)

_PARTS = (
    Rule(
        role="activation",
        likely=("keep", "gelu", "silu", "relu", "mish", "hardswish", "leakyrelu"),
        when="the built model's layers would be replaced, or attention",
        holds=lambda s: s.attention or s.groups > 0,
        risk="Another activation in a loaded model destroys what it has learnt.",
        why="In these papers smooth activations did slightly better than ReLU.",
        source="Hendrycks and Gimpel 2016, arXiv:1606.08415; Ramachandran et al. 2017, arXiv:1710.05941",
    ),
    Rule(
        role="activation",
        likely=("relu", "gelu", "silu", "swish", "elu", "leakyrelu"),
        why="Rectifiers do not saturate above 0, and train deep networks well from scratch.",
        source="Glorot et al. 2011 (AISTATS); Nair and Hinton 2010 (ICML)",
    ),
    Rule(
        role="use_batchnorm",
        likely=("True", "False"),
        risk="Without it the rate may have to be smaller.",
        why="BatchNorm allows higher rates and regularises.",
        source="Ioffe and Szegedy 2015, arXiv:1502.03167",
    ),
    Rule(
        role="use_layernorm",
        likely=("True", "False"),
        risk="Transformers are designed with it.",
        why="LayerNorm steadies training, whatever the size of the batch.",
        source="Ba et al. 2016, arXiv:1607.06450",
    ),
    Rule(
        role="pool_type",
        likely=("keep", "avg", "attention", "max"),
        why="The average over places is common practice.",
        source="Lin et al. 2014, arXiv:1312.4400, section 3.2",
    ),
    Rule(
        role="width",
        low=1.0,
        mode=4.0,
        high=8.0,
        times_own=True,
        risk="Memory and time grow with its square.",
        why="Too few units hurt; more than needed hurt little beside early stopping and weight decay, but cost time.",
        source="Bengio 2012, arXiv:1206.5533, section 3.2",
    ),
    Rule(
        role="depth",
        low=0.5,
        mode=1.5,
        high=4.0,
        times_own=True,
        when="the config asks for one or two layers",
        holds=lambda s: 0 < s.layers <= 2,
        risk="Depth beyond need is harder to train without residual branches.",
        why="Several layers can express what one does only with very many units.",
        source="Montúfar et al. 2014, arXiv:1402.1869; Larochelle et al. 2009, JMLR 10",
    ),
    Rule(
        role="depth",
        low=0.5,
        mode=1.0,
        high=2.0,
        times_own=True,
        risk="Depth beyond need is harder to train without residual branches.",
        why="Depth is searched near what is there, by a layer or a factor of two.",
        source="common practice; He et al. 2016, arXiv:1512.03385 (on depth)",
    ),
)

_LABELS = (
    Rule(
        role="label_smoothing",
        low=0.0,
        mode=0.1,
        high=0.15,
        risk="With few classes or few samples it may hide what little there is to learn.",
        why="0.1 is the usual value.",
        source="Szegedy et al. 2016, arXiv:1512.00567, section 7; Müller et al. 2019, arXiv:1906.02629",
    ),
    Rule(
        role="mixup_alpha",
        low=0.0,
        mode=0.2,
        high=0.4,
        risk="Large values underfit in a short training.",
        why="0.1 to 0.4 on ImageNet.",
        source="Zhang et al. 2018, arXiv:1710.09412",
    ),
)

MODEL = (*_DROPOUT, *_PARTS, *_LABELS)
