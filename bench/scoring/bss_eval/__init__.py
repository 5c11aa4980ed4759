"""BSS Eval: SDR, SIR and SAR by least-squares projections on the references."""
