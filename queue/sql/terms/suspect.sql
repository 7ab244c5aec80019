state = 'available' AND crashes > 0
