"""The program on Spark and the engines that may hand work to it."""
