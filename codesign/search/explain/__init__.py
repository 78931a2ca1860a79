"""What binds a design, what a step of each parameter costs, and what would fit."""
