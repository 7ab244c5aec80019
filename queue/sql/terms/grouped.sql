state = 'available' AND crashes = 0 AND group_key IS NOT NULL
