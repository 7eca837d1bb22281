"""Contrastive learning without labels: pairs of windows, objectives, and the training loop.

`training` trains on prepared datasets, `loop` holds the loop itself, `sampling` draws pairs, `store` keeps encoded
records, `checkpoints` saves and finds states, `arguments` holds the options of a run. Training is started with
`telescope train`, or with `accelerate launch -m telescope_transformer.learning` for several processes or GPUs.
"""
