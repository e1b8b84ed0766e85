-- Gives back what was charged and not used.  tenant, what, how many, when charged
refund(ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
