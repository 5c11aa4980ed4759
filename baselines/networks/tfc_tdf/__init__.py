"""A U-Net of TFC-TDF blocks over bands (Choi et al., ISMIR 2020)."""
