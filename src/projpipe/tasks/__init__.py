"""What a task is: a set of classes to tell apart; and how the sets to train and to judge on are drawn."""
