"""Templates of the cards on the Hub, and the program that renders them from recorded metrics."""
