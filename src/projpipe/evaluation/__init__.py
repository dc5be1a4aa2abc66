"""How models are judged: accuracy, intervals, size, compute and speed."""
