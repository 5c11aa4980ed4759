"""The methods, one file a paper, and the table of their names.

A method that lives elsewhere is named by ``package.module:Class`` and needs no line here.
"""

METHODS = {
    "mixture": "baselines.mixture:Mixture",
    "ideal_binary_mask": "baselines.oracles:IdealBinaryMask",
    "ideal_ratio_mask": "baselines.oracles:IdealRatioMask",
    "phase_sensitive_mask": "baselines.oracles:PhaseSensitiveMask",
    "multichannel_wiener": "baselines.oracles:MultichannelWiener",
    "pitch_oracle": "baselines.pitch:PitchOracle",
    "rpca": "baselines.rpca:RPCA",
    "rpcah": "baselines.rpcah:RPCAh",
    "rpcah_fasst": "baselines.rpcah_fasst:RPCAhFASST",
    "mlrr": "baselines.mlrr:MLRR",
    "rnmf": "baselines.rnmf:RNMF",
    "rnmf_supervised": "baselines.networks.rnmf:SupervisedRNMF",
    "hsu_jang": "baselines.hsu_jang:HsuJang",
    "pitch": "baselines.pitch:PitchMask",
    "repet": "baselines.repet:REPET",
    "repet_sim": "baselines.repet_sim:REPETSIM",
    "hpss": "baselines.hpss:HPSS",
    "nmf": "baselines.nmf:NMF",
    "drnn": "baselines.networks.drnn.separator:DRNN",
    "blstm": "baselines.networks.blstm.separator:BLSTM",
    "unet": "baselines.networks.unet.separator:UNet",
    "hourglass": "baselines.networks.hourglass.separator:StackedHourglass",
    "tfc_tdf": "baselines.networks.tfc_tdf.separator:TFCTDF",
}

#: Class paths that earlier releases wrote into the folders of trained methods, and where the class
#: is now.
MOVED = {
    "baselines.drnn.separator:DRNN": "baselines.networks.drnn.separator:DRNN",
    "baselines.rnmf:SupervisedRNMF": "baselines.networks.rnmf:SupervisedRNMF",
}
