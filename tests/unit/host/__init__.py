"""The host driving a machine that is nothing but memory and a unit that shakes hands."""
