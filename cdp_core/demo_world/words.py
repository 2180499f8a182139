"""Word lists of the made-up people. Any likeness is chance: first and last names are drawn apart from each other."""

from __future__ import annotations


def _words(*lines: str) -> list[str]:
    return [word for line in lines for word in line.split()]


FIRST_NAMES = _words(
    "Ada Adele Agnes Aiden Alan Albert Alice Alma Alvin Amber Amos Amy Andrea Andrew Angela Anita Ann",
    "Anton April Arlo Arthur Audrey August Barbara Basil Beatrice Ben Bernice Beth Bianca Blake Bonnie",
    "Boris Brenda Brian Bridget Bruno Calvin Camille Carla Carlos Carmen Carol Casper Cecil Celia Chad",
    "Clara Claude Clement Connie Cora Craig Cyrus Daisy Dale Damon Dana Daniel Daphne Darren David Dawn",
    "Dean Deborah Denise Derek Diana Dolores Dominic Donna Doris Duncan Dylan Earl Edgar Edith Edmund",
    "Edwin Eileen Elaine Eleanor Eli Ellen Elmer Elsie Emil Emma Enid Eric Erna Esther Ethan Eugene Eva",
    "Evan Fabian Faith Felix Fern Fiona Flora Floyd Frances Frank Fred Freda Gail Gavin Gemma George",
    "Gerald Gilda Gina Glen Gloria Gordon Grace Greta Gus Gwen Hanna Harold Harriet Harvey Hazel Hector",
    "Heidi Helen Henry Herman Hilda Homer Hope Howard Hugo Ian Ida Igor Imogen Ines Ingrid Irene Iris",
    "Isaac Ivan Ivy Jack Jada Jan Janet Jasper Jean Jerome Jesse Jill Joan Joel Jonas Joyce Judith Julia",
    "Julian June Karen Karl Kate Keith Kent Kirk Kurt Lana Lars Laura Lena Leo Leroy Lewis Lila Linda",
    "Linus Lloyd Lois Lola Lorna Louis Lucas Lucy Luis Luther Lydia Mabel Mae Magnus Marc Marcia Margot",
    "Maria Mark Martha Marvin Maude Max May Mercy Mia Miles Milo Mona Morris Muriel Myra Nadia Nancy",
    "Naomi Nathan Neil Nell Nina Noah Noel Nora Norman Olga Olive Omar Opal Orson Oscar Otis Otto Owen",
    "Pablo Pamela Patrick Paul Paula Pearl Percy Peter Petra Philip Phoebe Piers Quentin Ralph",
)

LAST_NAMES = _words(
    "Abernathy Ackerman Aldridge Alston Amberly Anders Appleby Arden Ashdown Atwater Averill Baines",
    "Bancroft Barlow Bartram Beckett Bellamy Bexley Birch Blackwood Blythe Bonham Bosworth Bracken",
    "Bramley Brandt Briar Brookfield Bruckner Burdock Calloway Camden Carlisle Carmody Castell Chadwick",
    "Chalmers Chesney Clairmont Claybourne Colby Colfax Conway Corwin Coventry Crabtree Crandall Creed",
    "Crosby Culver Dalton Danvers Darby Deering Delaney Denby Devlin Dorsey Draper Drummond Dunmore",
    "Eastman Eckhart Edgecomb Ellery Elmwood Emberly Endicott Ensign Everhart Fairbank Falkner Fanshaw",
    "Farrow Fenwick Fielding Finchley Flint Forester Foxworth Frost Gable Galloway Garrick Gatwick",
    "Gladstone Glenn Goddard Gorman Grafton Granger Greaves Greenlee Gresham Grove Hadley Halstead",
    "Hampton Harcourt Hargrove Harlow Hastings Hathaway Hawthorn Hazelton Heath Hemlock Hensley Heron",
    "Hillcrest Holbrook Hollis Holt Huxley Ingram Irving Jarvis Jessup Keating Kellogg Kendrick Kershaw",
    "Kingsley Kirkwood Knox Lambert Langley Larkin Latham Lawton Leland Lindqvist Linwood Lockhart",
    "Longfellow Lorimer Lovell Ludlow Lyndon Maddox Mallory Marchand Marlowe Mayfield Meadows Mercer",
    "Merrick Middleton Milford Mills Monroe Montrose Moreland Mosby Munroe Nash Needham Nettles Newbury",
    "Norwood Oakley Ogden Orchard Osgood Paddock Palmer Parrish Paxton Pembroke Penrose Perrin Pettigrew",
    "Pickering Pinewood Plummer Prescott Quimby Quincy Radcliff Rainier Ramsey Ravenel Redfern Renwick",
    "Ridley Ripley Rockwell Rosewood Rowan Rutledge Sable Salter Sedgwick Selby Sheldon Sherwood Sinclair",
    "Somerset Spalding Stanhope Starling Sterling Stockton Stratton Sumner Sutter Sylvan Tarleton Tate",
    "Teasdale Thackery Thornhill Tilden Tolliver Townsend Tremaine Truitt Underhill Upton Vance Varney",
    "Vickers Wadsworth Wainwright Walden Waverly Weldon Westbrook Whitaker Whitlock Wilder Windham",
    "Winslow Wolcott Woodruff Wycliffe Yardley Yarrow York",
)

STREETS = _words(
    "Acorn Alder Amber Anchor Apple Ash Aspen Bay Beacon Beech Birch Bluebird Brook Canal Canyon Cedar",
    "Cherry Chestnut Church Clover College Copper Cottage Creek Crescent Cypress Dogwood Dove Elm Fern",
    "Field Forest Fountain Garden Glen Grant Harbor Hawk Hickory High Hill Holly Iris Juniper Lake Laurel",
    "Lilac Linden Locust Magnolia Main Maple Market Meadow Mill Mission Myrtle Oak Orchard Park Pearl",
    "Pine Poplar Prairie Quarry Railroad Ridge River Rose Sage School Second Shore Silver Spring Spruce",
    "Stone Summit Sunset Sycamore Third Union Valley View Vine Walnut Water Willow",
)
STREET_TYPES = _words("St Ave Rd Ln Dr Ct Blvd Way")

# city, state, first three digits of the postcode
CITIES = [
    tuple(line.split("/"))
    for line in _words(
        "Albany/NY/122 Albuquerque/NM/871 Anchorage/AK/995 Atlanta/GA/303 Austin/TX/787 Baltimore/MD/212",
        "Birmingham/AL/352 Boise/ID/837 Boston/MA/021 Buffalo/NY/142 Burlington/VT/054 Charleston/SC/294",
        "Charlotte/NC/282 Chicago/IL/606 Cincinnati/OH/452 Cleveland/OH/441 Columbus/OH/432 Dallas/TX/752",
        "Denver/CO/802 Detroit/MI/482 Dover/DE/199 Durham/NC/277 Eugene/OR/974 Fargo/ND/581 Fresno/CA/937",
        "Hartford/CT/061 Helena/MT/596 Honolulu/HI/968 Houston/TX/770 Indianapolis/IN/462 Jackson/MS/392",
        "Lincoln/NE/685 Louisville/KY/402 Madison/WI/537 Memphis/TN/381 Miami/FL/331 Milwaukee/WI/532",
        "Minneapolis/MN/554 Nashville/TN/372 Newark/NJ/071 Oakland/CA/946 Omaha/NE/681 Orlando/FL/328",
        "Philadelphia/PA/191 Phoenix/AZ/850 Pittsburgh/PA/152 Portland/OR/972 Providence/RI/029",
        "Raleigh/NC/276 Reno/NV/895 Richmond/VA/232 Rochester/NY/146 Sacramento/CA/958 Savannah/GA/314",
        "Seattle/WA/981 Spokane/WA/992 Springfield/IL/627 Tampa/FL/336 Toledo/OH/436 Topeka/KS/666",
        "Tucson/AZ/857 Tulsa/OK/741 Wichita/KS/672",
    )
]

# Reserved for documentation by RFC 2606: mail to them reaches nobody.
MAIL_DOMAINS = _words(
    "mail.example.com post.example.net inbox.example.org home.example.com letters.example.net example.org"
)
OLD_MAIL_DOMAINS = _words("campus.example.org work.example.com dialup.example.net")

GENRES = _words("Rock Pop Jazz Classical Country Hip-Hop Electronic Folk Blues Soundtrack")
TOPICS = _words("delivery return damaged invoice account wrong-item recommendation")

BROWSERS = (
    "Mozilla/4.04 [en] (Win95; I)",
    "Mozilla/4.0 (compatible; MSIE 4.01; Windows 95)",
    "Mozilla/3.01 (Macintosh; I; PPC)",
    "Mozilla/4.5 [en] (X11; I; Linux 2.0.34 i686)",
    "Mozilla/2.0 (compatible; MSIE 3.02; Windows NT)",
    "Mozilla/4.03 (Macintosh; I; PPC, Nav)",
)
BOTS = (
    "ExampleBot/1.0 (+http://bot.example.org)",
    "Mozilla/3.0 (compatible; pricebot/0.9)",
    "archive_bot/2.1 libwww/5.1",
)

# United States area codes in which 555 numbers are well formed.
AREA_CODES = [
    int(code)
    for code in _words(
        "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 220 223 224 225 227 228 229 231",
        "234 235 239 240 248 251 252 253 254 256 260 262 267 269 270 272 274 276 279 281 283 301 302 303 304",
        "305 307 308 309 310 312 313 314 315 316 317 318 319 320 321 323 324 325 326 327 329 330 331 332 334",
        "336 337 339 341 346 347 350 351 352 353 360 361 363 364 369 380 385 386 401 402 404 405 406 407 408",
        "409 410 412 413 414 415 417 419 423 424 425 430 432 434 435 440 442 443 445 447 448 458 463 464 469",
        "470 472 475 478 479 480 484 501 502 503 504 505 507 508 509 510 512 513 515 516 517 518 520 530 531",
        "534 539 540 541 551 557 559 561 562 563 564 567 570 571 572 573 574 575 580 582 585 586 601 602 603",
        "605 606 607 608 609 610 612 614 615 616 617 618 619 620 623 626 628 629 630 631 636 640 641 645 646",
        "650 651 656 657 659 660 661 662 667 669 678 680 681 682 686 689 701 702 703 704 706 707 708 712 713",
        "714 715 716 717 718 719 720 724 725 726 727 728 730 731 732 734 737 738 740 743 747 748 754 757 760",
        "762 763 765 769 770 771 772 773 774 775 779 781 785 786 801 802 803 804 805 806 808 810 812 813 814",
        "815 816 817 818 820 821 826 828 830 831 832 835 838 839 840 843 845 847 848 850 854 856 857 858 859",
        "860 862 863 864 865 870 872 878 901 903 904 906 907 908 909 910 912 913 914 915 916 917 918 919 920",
        "925 928 929 930 931 934 936 937 938 940 941 943 945 947 948 949 951 952 954 956 959 970 971 972 973",
        "975 978 979 980 983 984 985 986 989",
    )
]
