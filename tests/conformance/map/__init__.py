"""What the project covers, row by row, on whole servers: host, adapters, guests and their traffic."""
