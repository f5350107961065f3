/* The mark has no behaviour: its link leads to the studio's start. */
