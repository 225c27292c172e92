"""Compare training steps of the faces models 9 and 15, fp32, with both peers.

Model 15 unless --model=9.
"""

import sys

import contenders
import driver

if __name__ == "__main__":
  title = "Faces training step, fp32"
  chosen = contenders.list_contenders("faces")
  sys.exit(driver.main(title, chosen, models=(15, 9), rounds=2))
