"""From requests and events to labelled impressions: merge, attribution, examination, stages."""
