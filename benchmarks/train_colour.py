"""Compare training steps of the colouring model 2, fp32, with both peers."""

import sys

import contenders
import driver

if __name__ == "__main__":
  title = "Colouring training step, model 2, fp32"
  sys.exit(driver.main(title, contenders.list_contenders("colour")))
