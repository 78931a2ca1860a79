"""Design parameters, design spaces and design points."""
