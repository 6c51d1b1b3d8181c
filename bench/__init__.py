"""What the README's figures come from; ratios are taken within one run, since machines drift."""
