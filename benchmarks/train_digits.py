"""Compare training steps of the digits model, fp32, with both peers."""

import sys

import contenders
import driver

if __name__ == "__main__":
  title = "Digits training step, fp32"
  sys.exit(driver.main(title, contenders.list_contenders("digits")))
