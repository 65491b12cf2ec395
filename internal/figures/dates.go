package figures

import "time"

// dayLayouts are the customary numeric dates of languages, with a year of four
// digits, and where regions of a language differ, of language and region (CLDR).
// English writes the month's name where its order is in doubt.
var dayLayouts = map[string]string{
	"en": time.DateOnly, "en-US": "Jan 02, 2006", "en-GB": "02 Jan 2006", "en-IE": "02 Jan 2006", "en-AU": "02 Jan 2006",
	"en-NZ": "02 Jan 2006", "en-IN": "02 Jan 2006", "en-ZA": "2006/01/02",
	"de": "02.01.2006", "da": "02.01.2006", "nb": "02.01.2006", "nn": "02.01.2006", "no": "02.01.2006", "fi": "02.01.2006",
	"pl": "02.01.2006", "cs": "02.01.2006", "sk": "02.01.2006", "ru": "02.01.2006", "uk": "02.01.2006", "ro": "02.01.2006",
	"bg": "02.01.2006", "tr": "02.01.2006", "et": "02.01.2006", "lv": "02.01.2006", "is": "02.01.2006", "he": "02.01.2006",
	"sl": "02. 01. 2006", "hr": "02. 01. 2006.", "sr": "02. 01. 2006.", "hu": "2006. 01. 02.",
	"fr": "02/01/2006", "fr-CA": time.DateOnly, "fr-CH": "02.01.2006", "es": "02/01/2006", "it": "02/01/2006", "it-CH": "02.01.2006",
	"pt": "02/01/2006", "ca": "02/01/2006", "el": "02/01/2006", "vi": "02/01/2006", "id": "02/01/2006", "ms": "02/01/2006",
	"ar": "02/01/2006", "hi": "02/01/2006", "th": "02/01/2006",
	"nl": "02-01-2006", "nl-BE": "02/01/2006",
	"ja": "2006/01/02", "zh": "2006/01/02", "ko": "2006. 01. 02.",
	"sv": time.DateOnly, "lt": time.DateOnly,
}

// dayLayout is how a language writes dates in a region; as in ISO 8601 when it is
// not in the list.
func dayLayout(language, region string) string {
	for _, key := range []string{language + "-" + region, language} {
		if layout, ok := dayLayouts[key]; ok {
			return layout
		}
	}
	return time.DateOnly
}

// IsMidnight reports whether a time is the beginning of its day, in its zone.
func IsMidnight(t time.Time) bool {
	return t.Equal(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location()))
}
