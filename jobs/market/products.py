# ruff: noqa: E501  (a table: one product a line)
"""The words of the demo market: one product a line.

department > category | noun | names in titles | names only shoppers use | six kinds (kind=what shoppers say)
| three attribute families | usual price
"""

PRODUCTS = """
Electronics > Power | charger | power adapter, charging brick | plug, charging block | usb c=type c, wireless=qi, car=in car, laptop=notebook, travel=universal, solar=sun powered | colour power length | 25
Home > Lighting | lamp | light fixture, luminaire | light, lighting | desk=study, floor=standing, bedside=night, led=low energy, reading=book, salt=himalayan | colour finish power | 40
Kitchen > Cookware | pan | skillet, fry pan | frying thing, cooking pan | non stick=nonstick, cast iron=iron, grill=griddle, saute=deep, wok=stir fry, crepe=pancake | diameter material finish | 35
Fashion > Shoes | shoes | sneakers, footwear | trainers, kicks | running=jogging, walking=comfort, hiking=trekking, slip on=laceless, tennis=court, safety=steel toe | size colour audience | 60
Sports > Fitness | dumbbell | hand weight, free weight | gym weights, barbell | adjustable=variable, hex=six sided, neoprene=coated, vinyl=plastic coated, chrome=metal, kettle=kettlebell | weight pack colour | 30
Beauty > Skin Care | cream | moisturiser, lotion | face stuff, hydrator | face=facial, hand=hands, eye=under eye, night=overnight, sun=spf, anti ageing=wrinkle | volume scent audience | 18
Garden > Tools | shears | pruner, secateurs | garden scissors, clippers | hedge=bush, pruning=branch, grass=lawn, bypass=sharp, telescopic=long reach, electric=battery | length material feature | 28
Toys > Building | building blocks | construction set, brick set | click bricks, stacking toy | magnetic=magnet, wooden=wood, city=town, space=rocket, castle=knight, train=railway | pack audience colour | 32
Electronics > Power | power bank | portable battery, battery pack | backup charger, phone juice | slim=thin, solar=sun powered, magnetic=magnet, fast=quick, mini=pocket, rugged=outdoor | colour milliamp feature | 35
Home > Bedding | duvet | comforter, quilt | blanket, doona | down=feather, summer=light, winter=warm, all season=four seasons, weighted=heavy, cooling=cool | bedsize material pattern | 55
Kitchen > Coffee | coffee maker | coffee machine, brewer | coffee pot, caffeine machine | espresso=barista, filter=drip, capsule=pod, french press=plunger, moka=stovetop, cold brew=iced | colour volume power | 90
Fashion > Bags | backpack | rucksack, daypack | school bag, back bag | laptop=notebook, hiking=trekking, travel=cabin, school=kids, roll top=rolltop, anti theft=secure | volume colour material | 50
Sports > Cycling | bike helmet | cycling helmet, cycle helmet | bicycle hat, head protection | road=racing, mountain=mtb, city=urban, aero=fast, full face=downhill, folding=collapsible | size colour audience | 55
Beauty > Hair | shampoo | hair wash, hair cleanser | hair soap, head wash | dry=waterless, anti dandruff=dandruff, colour=dyed hair, repair=damaged hair, volume=fine hair, curl=curly | volume scent audience | 12
Garden > Watering | hose | garden pipe, watering hose | water tube, hosepipe | expandable=stretch, soaker=drip, coil=spiral, flat=reel, reinforced=strong, retractable=automatic | length colour material | 38
Toys > Games | board game | tabletop game, family game | game night, party game | strategy=thinking, cooperative=team, quiz=trivia, word=spelling, card=cards, travel=pocket | audience pack finish | 30
Electronics > Audio | headphones | headset, earphones | cans, ear things | noise cancelling=anc, wireless=bluetooth, gaming=gamer, wired=jack, studio=monitor, sports=running | colour feature audience | 70
Home > Storage | storage box | organiser, container | tidy, crate | under bed=bed, stackable=stacking, lidded=with lid, drawer=divider, fabric=cloth, vacuum=compression | volume colour material | 20
Kitchen > Cutlery | knife | blade, kitchen knife | cutter, chopper | chef=cooks, bread=serrated, paring=small, santoku=japanese, carving=roast, steak=meat | length material pack | 32
Fashion > Tops | t shirt | tee, jersey top | tshirt, shirt | graphic=printed, long sleeve=longsleeve, v neck=vneck, polo=collar, oversized=baggy, thermal=warm | size colour pattern | 18
Sports > Camping | tent | camping shelter, bivouac | camp house, canvas | two person=couple, family=big, pop up=instant, backpacking=ultralight, beach=sun shelter, inflatable=air | colour feature weight | 140
Beauty > Make Up | lipstick | lip colour, lip rouge | lippy, lip paint | matte=velvet, liquid=fluid, gloss=shiny, tinted=balm, long wear=longlasting, nude=natural | shade scent pack | 14
Garden > Furniture | garden chair | patio chair, outdoor chair | sun seat, deck seat | folding=foldable, reclining=lounger, rocking=swing, stacking=stackable, adirondack=muskoka, hanging=egg | colour material pack | 75
Toys > Dolls | doll | figure, baby doll | dolly, puppet | fashion=dress up, talking=speaking, rag=cloth, newborn=reborn, mermaid=sea, princess=fairy | audience colour length | 26
Electronics > Computing | keyboard | computer keyboard, key pad | typing board, keys | mechanical=clicky, wireless=bluetooth, ergonomic=split, gaming=rgb, numeric=numpad, silent=quiet | colour feature screen | 65
Home > Bath | towel | bath linen, terry towel | drying cloth, shower cloth | bath=shower, hand=guest, beach=swim, gym=sports, hair=turban, face=wash | colour material pack | 16
Kitchen > Baking | baking tray | oven sheet, bakeware | cookie tin, oven pan | muffin=cupcake, loaf=bread, pizza=flat, roasting=roast, silicone=flexible, cake=springform | diameter material pack | 18
Fashion > Outerwear | jacket | coat, windbreaker | anorak, outer layer | rain=waterproof, down=puffer, fleece=warm, denim=jeans, leather=biker, softshell=trekking | size colour audience | 95
Sports > Fitness | yoga mat | exercise mat, pilates mat | gym mat, floor pad | thick=cushioned, travel=foldable, cork=natural, non slip=grip, hot=towel top, alignment=marked | colour material length | 28
Beauty > Hair | hair dryer | blow dryer, hairdryer | hair blower, drying gun | ionic=ion, travel=mini, diffuser=curly, professional=salon, quiet=silent, hood=bonnet | colour power feature | 55
Garden > Lawn | lawn mower | grass mower, mower | grass cutter, grass machine | robot=robotic, electric=corded, battery=rechargeable, push=manual, petrol=gas, mulching=mulch | colour power feature | 240
Toys > Vehicles | toy car | model car, play vehicle | race car, little car | remote control=rc, pull back=friction, die cast=metal, ride on=sit on, track=slot, monster=truck | colour audience pack | 24
Electronics > Computing | mouse | computer mouse, pointing device | clicker, pc mouse | wireless=cordless, gaming=gamer, vertical=ergonomic, trackball=ball, travel=mini, silent=quiet | colour feature pack | 30
Home > Lighting | bulb | light bulb, led bulb | globe, light | smart=wifi, candle=chandelier, spot=gu10, filament=edison, daylight=cold white, dimmable=dimmer | power pack finish | 12
Kitchen > Drinkware | mug | coffee cup, tea cup | cup, beaker | travel=thermal, glass=clear, enamel=camping, heat changing=magic, stoneware=pottery, espresso=small | volume colour material | 14
Fashion > Shoes | boots | ankle boots, leather boots | booties, winter shoes | chelsea=pull on, hiking=trekking, rain=wellington, snow=winter, work=safety, cowboy=western | size colour material | 110
Sports > Cycling | bike light | cycle lamp, bicycle lamp | night light, cycling torch | front=headlight, rear=tail, set=pair, helmet=head, spoke=wheel, dynamo=generator | colour power feature | 25
Beauty > Skin Care | serum | facial serum, concentrate | drops, face oil | vitamin c=brightening, hyaluronic=hydrating, retinol=anti wrinkle, niacinamide=pores, peptide=firming, acne=spots | volume scent pack | 22
Garden > Pots | planter | plant pot, flower pot | flower tub, plant holder | hanging=basket, self watering=auto water, balcony=railing, raised=bed, indoor=windowsill, wall=vertical | diameter colour material | 24
Toys > Outdoor | scooter | kick scooter, push scooter | two wheeler, ride | electric=battery, stunt=trick, folding=foldable, three wheel=3 wheel, big wheel=commuter, light up=led | colour audience weight | 85
Electronics > Audio | speaker | loudspeaker, sound box | boombox, music box | bluetooth=wireless, shower=waterproof, party=loud, bookshelf=hifi, smart=voice, outdoor=garden | colour power feature | 80
Home > Bedding | pillow | cushion, head pillow | head rest, sleeping cushion | memory foam=foam, feather=down, neck=orthopedic, body=pregnancy, cooling=gel, travel=plane | bedsize material pack | 30
Kitchen > Appliances | blender | mixer, liquidiser | smoothie maker, juicer | hand=stick, personal=bottle, jug=countertop, high speed=professional, soup=heating, mini=small | colour power volume | 65
Fashion > Bags | handbag | shoulder bag, tote bag | purse, ladies bag | crossbody=sling, clutch=evening, bucket=drawstring, shopper=shopping, quilted=padded, hobo=slouchy | colour material pattern | 70
Sports > Camping | sleeping bag | camp quilt, mummy bag | camp bed, night sack | summer=light, winter=cold weather, double=two person, kids=children, down=feather, compact=ultralight | colour weight bedsize | 70
Beauty > Make Up | mascara | lash colour, lash mascara | eyelash paint, lashes | volume=thick, waterproof=cry proof, lengthening=long, curling=curl, tubing=smudge proof, clear=transparent | shade pack volume | 15
Garden > Tools | spade | digging spade, shovel | digger, garden shovel | border=ladies, trenching=drain, folding=army, root=sharp, snow=winter, transplanting=narrow | length material weight | 34
Toys > Puzzles | puzzle | jigsaw, jigsaw puzzle | brain game, picture puzzle | floor=giant, 3d=three dimensional, wooden=wood, landscape=scenery, animal=zoo, map=world | pack audience finish | 18
Electronics > Phones | phone case | phone cover, protective case | case, mobile cover | clear=transparent, wallet=flip, rugged=tough, silicone=rubber, leather=book, magnetic=magnet | colour screen material | 20
Home > Decor | rug | carpet, floor covering | floor mat, mat | shaggy=fluffy, outdoor=patio, runner=hallway, round=circle, persian=oriental, washable=machine wash | length colour pattern | 85
Kitchen > Storage | food container | lunch box, meal prep box | fresh box, food tub | glass=clear, bento=divided, vacuum=fresh, insulated=hot food, cereal=dry food, freezer=stackable | volume material pack | 22
Fashion > Accessories | belt | waist belt, leather belt | strap, trouser belt | dress=formal, braided=woven, reversible=double sided, canvas=fabric, western=buckle, elastic=stretch | size colour material | 26
Sports > Swimming | goggles | swim goggles, swimming goggles | swim glasses, pool glasses | racing=competition, open water=triathlon, mirrored=reflective, prescription=optical, kids=children, anti fog=clear view | colour audience size | 22
Beauty > Shaving | razor | shaver, safety razor | shaving thing, beard cutter | electric=battery, cartridge=blades, foil=dry, rotary=round, body=bikini, disposable=single use | colour audience pack | 32
Garden > Outdoor | barbecue | grill, bbq | bbq thing, outdoor cooker | charcoal=coal, gas=propane, electric=indoor, portable=camping, smoker=smoking, kamado=ceramic egg | colour diameter feature | 180
Toys > Plush | plush toy | stuffed animal, soft toy | cuddly, teddy | bear=teddy bear, bunny=rabbit, unicorn=magic horse, dinosaur=dino, dog=puppy, weighted=heavy | colour audience length | 22
Electronics > Storage | memory card | flash card, storage card | sd thing, camera memory | micro=microsd, sd=full size, compact flash=cf, high speed=fast, endurance=dashcam, industrial=rugged | capacity pack feature | 25
Home > Curtains | curtain | drape, window panel | window cover, blind | blackout=dark, sheer=voile, thermal=insulated, shower=bath, door=beaded, linen=natural | length colour pattern | 42
Kitchen > Cookware | pot | saucepan, stockpot | cooking pot, boiler | pressure=instant, soup=stew, milk=sauce, pasta=strainer, dutch oven=casserole, steamer=steam | diameter material volume | 48
Fashion > Tops | hoodie | hooded sweatshirt, sweatshirt | hooded jumper, pullover | zip=zip up, fleece=fluffy, cropped=short, sleeveless=vest, graphic=printed, heavyweight=thick | size colour audience | 42
Sports > Team Sports | football | soccer ball, match ball | ball, footie | indoor=futsal, training=practice, beach=sand, street=rubber, american=rugby, mini=skills | size colour material | 26
Beauty > Dental | toothbrush | dental brush, tooth brush | teeth cleaner, brush | electric=sonic, bamboo=eco, kids=children, soft=sensitive, travel=folding, interdental=gap | colour pack feature | 28
Garden > Watering | sprinkler | lawn sprinkler, irrigation sprinkler | water sprayer, lawn waterer | oscillating=swinging, impact=pulse, rotating=spinning, pop up=underground, drip=slow, smart=wifi | pack material feature | 26
Toys > Learning | science kit | experiment kit, stem kit | lab set, chemistry set | crystal=growing, volcano=eruption, robotics=robot, solar=sun, electronics=circuit, slime=goo | audience pack colour | 34
Electronics > Storage | usb stick | flash drive, thumb drive | memory stick, data stick | dual=two way, metal=keyring, encrypted=secure, mini=nano, fast=high speed, novelty=funny | capacity colour pack | 18
Home > Storage | shelf | wall shelf, shelving unit | rack, ledge | floating=hidden, corner=triangle, ladder=leaning, cube=square, bathroom=shower, book=bookcase | length material colour | 46
Kitchen > Coffee | kettle | water boiler, electric kettle | tea boiler, hot water jug | gooseneck=pour over, glass=clear, travel=mini, whistling=stovetop, variable=temperature, quick boil=fast | volume colour power | 42
Fashion > Accessories | watch | wristwatch, timepiece | wrist clock, timer | smart=fitness, dive=diver, dress=formal, digital=lcd, chronograph=racing, skeleton=automatic | colour material audience | 150
Sports > Running | running belt | waist pack, running pouch | bum bag, phone holder | hydration=water bottle, reflective=night, zip=secure, slim=thin, double=two pocket, race number=marathon | size colour feature | 20
Beauty > Fragrance | perfume | eau de parfum, fragrance | scent, smelly | floral=flowery, woody=forest, fresh=clean, oriental=spicy, solid=stick, gift=present | volume scent audience | 65
Garden > Lighting | solar light | garden light, path light | outdoor lamp, sun lamp | string=fairy, stake=ground, spot=flood, lantern=hanging, motion=sensor, fence=wall | pack power finish | 28
Toys > Music | toy piano | kids keyboard, music mat | baby piano, play piano | floor=dance, grand=classic, light up=learning, animal=farm, mini=small, microphone=singing | colour audience feature | 36
Electronics > Displays | monitor | computer screen, display | screen, pc screen | gaming=144hz, curved=wide, portable=travel, 4k=uhd, office=work, touch=touchscreen | screen colour feature | 220
Home > Cleaning | vacuum cleaner | hoover, floor cleaner | dust sucker, carpet cleaner | robot=robotic, stick=upright, handheld=car, wet dry=shop, pet hair=dog hair, bagless=cyclone | colour power feature | 160
Kitchen > Cutlery | peeler | vegetable peeler, swivel peeler | potato tool, skin remover | julienne=strips, y=wide, electric=automatic, ceramic=sharp, apple=corer, serrated=tomato | colour material pack | 11
Fashion > Socks | socks | sock set, hosiery | foot warmers, stockings | ankle=low cut, compression=flight, wool=warm, sports=running, no show=invisible, knee=long | size colour pack | 15
Sports > Fishing | fishing rod | angling rod, rod | fish stick, casting pole | spinning=lure, fly=trout, telescopic=travel, carp=coarse, surf=beach, ice=winter | length material weight | 75
Beauty > Nails | nail polish | nail varnish, nail lacquer | nail paint, nail colour | gel=uv, quick dry=fast, glitter=sparkle, base=primer, french=white tip, magnetic=cat eye | shade pack volume | 10
Garden > Furniture | parasol | sun umbrella, patio umbrella | shade, sun brolly | cantilever=overhang, beach=sand, tilting=tilt, half=balcony, market=cafe, led=light | diameter colour material | 95
Toys > Outdoor | water gun | water blaster, squirt gun | water pistol, soaker | electric=battery, pump=pressure, backpack=tank, mini=small, foam=pool, dinosaur=dino | colour audience pack | 19
Electronics > Cables | cable | lead, cord | wire, connection thing | usb c=type c, hdmi=tv, lightning=phone, ethernet=network, audio=aux, braided=nylon | length colour pack | 14
Home > Decor | candle | scented candle, wax candle | wax light, smelly candle | pillar=church, jar=glass, tea light=tealight, led=flameless, soy=vegan, birthday=cake | scent pack colour | 16
Kitchen > Appliances | toaster | bread toaster, toast maker | toasting machine, bread heater | two slice=2 slice, four slice=4 slice, long slot=sourdough, retro=vintage, sandwich=toastie, oven=mini oven | colour power finish | 45
Fashion > Headwear | hat | cap, headgear | beanie thing, head cover | baseball=trucker, bucket=fisherman, wool=knitted, sun=wide brim, fedora=panama, winter=warm | size colour pattern | 22
Sports > Yoga | foam roller | massage roller, muscle roller | back roller, rolling thing | vibrating=electric, textured=grid, smooth=soft, travel=short, half=flat, ball=peanut | length colour material | 24
Beauty > Bath | bath bomb | bath fizzer, bath salts | tub thing, fizzy ball | gift=present, epsom=muscle, bubble=foam, kids=surprise, herbal=natural, shimmer=glitter | scent pack colour | 13
Garden > Pots | seeds | seed packet, seed mix | sowing stuff, grains | wildflower=meadow, vegetable=veg, herb=kitchen herb, lawn=grass, sunflower=giant flower, chilli=pepper | pack feature colour | 6
Toys > Vehicles | drone | quadcopter, flying drone | flying camera, copter | camera=video, mini=pocket, racing=fpv, foldable=travel, beginner=kids, gps=return home | colour audience feature | 120
Electronics > Phones | screen protector | tempered glass, screen guard | display foil, scratch guard | privacy=anti spy, matte=anti glare, curved=full cover, camera=lens, hydrogel=film, blue light=eye care | screen pack finish | 12
Home > Bath | bath mat | shower mat, bathroom rug | floor towel, wet mat | non slip=grip, bamboo=wooden, memory foam=soft, chenille=fluffy, stone=diatomite, pebble=massage | colour length material | 24
Kitchen > Drinkware | water bottle | drinks bottle, flask | drink thing, hydration bottle | insulated=thermos, sports=gym, filter=purifier, kids=school, glass=clear, collapsible=foldable | volume colour material | 22
Fashion > Trousers | jeans | denim pants, denim trousers | pants, denims | skinny=tight, straight=regular, wide leg=baggy, bootcut=flared, ripped=distressed, mom=high waist | size colour audience | 58
Sports > Racket Sports | tennis racket | racquet, tennis racquet | bat, tennis bat | beginner=starter, junior=kids, graphite=carbon, padel=paddle, badminton=shuttle, tour=pro player | weight colour size | 80
Beauty > Tools | make up brush | cosmetic brush, brush set | face brush, blending thing | foundation=base, eye=eyeshadow, powder=fluffy, kabuki=round, travel=mini, lip=fine | pack colour material | 20
Garden > Pests | insect trap | fly trap, bug catcher | mosquito thing, bug killer | electric=zapper, sticky=glue, wasp=hornet, fruit fly=vinegar, solar=outdoor, plug in=indoor | pack power feature | 17
Toys > Games | playing cards | card deck, poker cards | deck, cards | plastic=waterproof, jumbo=large print, magic=trick, tarot=fortune, collector=premium, travel=mini | pack finish colour | 9
"""
