-- Gives back what was charged and not used.  args: tenant, counted, n, at
refund(args.tenant, args.counted, args.n, args.at)
