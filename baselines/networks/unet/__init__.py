"""The U-Net of Jansson et al. (ISMIR 2017)."""
