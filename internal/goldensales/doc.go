// Package goldensales is a small set of sales whose figures are worked out by hand,
// as the records of the event topics that they leave behind. Tests load it with the
// real loader and hold every report, query and sum against the figures.
//
// Days and months are those of Europe/Berlin, whose clocks go back on 2026-10-25.
// Times are UTC. The sales:
//
//	Festival, EUR, of acme: standard 50.00 with 19 % included, vip 120.00 with 7 %
//	included, workshop 49.95 with 20 % included (8.325, rounded away from zero: 8.33)
//
//	F1   Sep 29  2 standard 100.00 (tax 15.97) and 1 vip 120.00 less 20.00 (tax 6.54);
//	             200.00, fee 3.05, by card on the web.
//	             Oct 3: the vip line is cancelled and given back.
//	F2   Sep 30  1 standard, 50.00 (7.98), fee 0.90, by sepa at the box office: captured
//	             at 23:59:59.5, booked and confirmed on Oct 1 at 00:00:01.
//	F3   Sep 10  1 vip, 120.00 (7.85), fee 1.85; Oct 5: cancelled whole, given back.
//	F4   Oct 25  1 workshop, 49.95 (8.33), fee 0.90, in the app, at the first 02:30
//	F5   Oct 25  3 standard, 150.00 (23.95), fee 2.35, in the app, at the second 02:30
//	F6   Oct 25  1 standard less 50.00: free, confirmed in the last millisecond of the day
//	F7   Sep 12  1 standard, declined
//	F8   Sep 30  1 standard and 1 workshop, 99.95 (16.31), fee 1.40: expired, then
//	             captured; given back in full, at the first moment of Oct 1
//	F9   Sep 15  1 vip, 120.00 (7.85), fee 1.85, in test mode
//	F10  Aug 20  2 standard, 100.00 (15.97), no fee, by invoice: imported on Sep 2
//	F11  Oct 2   10 vip: sold out
//	F12  Oct 31  2 standard: held, its charge has no answer
//	F13  Oct 31  1 standard, 50.00 (7.98), fee 0.90: captured and booked in October's
//	             last second, confirmed at the first moment of November
//
//	東京, JPY, of acme: day 1005 with 10 % on top
//
//	J1   Sep 15  1 day: 1005 + 100.5, rounded to 101; 1106, fee 40, by konbini
//	J2   Oct 10  2 day less 5: 2005 + 200.5, rounded to 201; 2206, fee 79. The last seats
//
//	=Gala, KWD, of gulf: seat 12.345 and table 12.350 with 5 % on top, guest 1.000 exempt
//
//	K1   Sep 20  1 seat 12.345 + 0.617 (0.61725), 1 table 12.350 + 0.618 (0.6175);
//	             25.930, fee 0.750
//	K2   Oct 31  1 guest, 1.000, fee 0.029; cancelled an hour later, and its money is not
//	             back yet
package goldensales
