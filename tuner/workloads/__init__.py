"""Builds what a `Workload` names: data, model, optimizer, schedule and loss.

Standard library, torch and NumPy only; scikit-learn, safetensors and transformers are
imported where a workload asks for them.
"""
